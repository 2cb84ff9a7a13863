//! `bench`: Redis and Tandem side by side; progress on the error output, the table on the output.

use std::io::Write;

use anyhow::Result;
use clap::Parser;
use tandem_e2e::bench::table::Table;
use tandem_e2e::bench::{Section, Settings, host, lag, memory, restart, resync, throughput};
use tandem_e2e::process::clean_up_on_exit;

/// Measures a section and adds its rows.
type Run = fn(&Settings, &mut Table);

const SECTIONS: [(Section, Run); 5] = [
    (Section::Throughput, throughput::run),
    (Section::Memory, memory::run),
    (Section::Lag, lag::run),
    (Section::Resync, resync::run),
    (Section::Restart, restart::run),
];

fn main() -> Result<()> {
    let settings = Settings::parse();
    clean_up_on_exit()?;
    let header = host::header(&settings);
    eprintln!("{header}");
    let mut table = Table::default();
    for (section, run) in SECTIONS {
        if settings.wants(section) {
            run(&settings, &mut table);
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{header}\n{}", table.markdown())?;
    Ok(())
}
