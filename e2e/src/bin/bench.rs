//! `bench`: Redis and Tandem side by side; progress on the error output, the table on the output.

use std::io::Write;

use anyhow::Result;
use clap::Parser;
use tandem_e2e::bench::table::Table;
use tandem_e2e::bench::{Section, Settings, host, throughput};
use tandem_e2e::process::clean_up_on_exit;

fn main() -> Result<()> {
    let settings = Settings::parse();
    clean_up_on_exit()?;
    let header = host::header(&settings);
    eprintln!("{header}");
    let mut table = Table::default();
    if settings.wants(Section::Throughput) {
        throughput::run(&settings, &mut table);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{header}\n{}", table.markdown())?;
    Ok(())
}
