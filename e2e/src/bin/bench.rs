//! `bench`: Redis and Tandem side by side; the table row by row as it is measured.

use std::io::Write;

use anyhow::Result;
use clap::Parser;
use tandem_e2e::bench::cores::{self, Side};
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
    let mut table = Table::default();
    writeln!(std::io::stdout(), "{}", host::header(&settings))?;
    if !settings.no_pin {
        cores::keep_to(Side::Load)?;
    }
    table.begin();
    for (section, run) in SECTIONS {
        if settings.wants(section) {
            match settings.ensure_time() {
                Ok(()) => run(&settings, &mut table),
                Err(error) => table.add_not_available(&format!("{section:?}"), &error),
            }
        }
    }
    Ok(())
}
