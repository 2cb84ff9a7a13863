//! The server alone, without the operator: for measuring while the binary is young.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(2).collect();
    tandem_node::run(&args)
}
