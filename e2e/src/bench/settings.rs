//! What the benchmark was asked to do.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// The parts of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Section {
    /// SET, GET, INCR, HSET.
    Throughput,
    /// Memory and log bytes per key.
    Memory,
    /// Replication delay under load.
    Lag,
    /// Full resync while written to.
    Resync,
    /// Restart after kill -9.
    Restart,
}

/// Redis and Tandem side by side, as one table of ratios.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "bench")]
pub struct Settings {
    /// The server binary, started as `PATH server --port ...` [default: `tandem` beside this program]
    #[arg(long)]
    pub tandem: Option<PathBuf>,
    /// One more argument for each Tandem server; may be repeated
    #[arg(long, allow_hyphen_values = true)]
    pub tandem_arg: Vec<String>,
    /// The Redis server
    #[arg(long, default_value = "/usr/bin/redis-server")]
    pub redis: PathBuf,
    /// The reference load generator
    #[arg(long, default_value = "/usr/bin/redis-benchmark")]
    pub redis_benchmark: PathBuf,
    /// Random keys [default: 1000000, with --quick 400000]
    #[arg(long)]
    pub keys: Option<u64>,
    /// Shorter cells, fewer keys, no redis-benchmark beside the own load: the table of the docs
    #[arg(long)]
    pub quick: bool,
    /// Seconds after which nothing more is begun; what is left out says so [default: 3600, with --quick 420]
    #[arg(long)]
    pub time_max: Option<u64>,
    /// Leaves servers and load to the scheduler; else the load has the last core and servers the others
    #[arg(long)]
    pub no_pin: bool,
    /// Only this section; may be repeated
    #[arg(long)]
    pub only: Vec<Section>,
    /// Where the data directories are made [default: the system's temporary directory]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Bytes of data in a full resync
    #[arg(long, default_value_t = 100_000_000)]
    pub resync_bytes: u64,
    /// Bytes of the values in a full resync; may be repeated
    #[arg(long, default_values_t = [100, 1024])]
    pub resync_value: Vec<usize>,
    /// Tells on the error output the longest delay of each second of a full resync, too
    #[arg(long)]
    pub verbose: bool,
    /// Rounds per cell; the middle one counts
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// When the program began.
    #[arg(skip = Instant::now())]
    pub started: Instant,
}

impl Settings {
    /// Gives the number of random keys.
    pub fn key_count(&self) -> u64 {
        let default = if self.quick { 400_000 } else { 1_000_000 };
        self.keys.unwrap_or(default).max(1000)
    }

    /// Gives the number of random keys with values of a size: as many bytes at most as the usual
    /// number of small ones, when it has to be quick.
    pub fn key_count_of(&self, value_bytes: usize) -> u64 {
        let is_big = self.quick && value_bytes > 500;
        self.key_count() / if is_big { 4 } else { 1 }
    }

    /// Gives the time that is left.
    pub fn time_left(&self) -> Duration {
        let default = if self.quick { 420 } else { 3600 };
        let time_max = Duration::from_secs(self.time_max.unwrap_or(default));
        time_max.saturating_sub(self.started.elapsed())
    }

    /// Refuses to begin anything more once the time is over.
    pub fn ensure_time(&self) -> Result<()> {
        ensure!(
            !self.time_left().is_zero(),
            "the time of --time-max is over"
        );
        Ok(())
    }

    /// Gives the longest time one server spends in one cell of one round.
    pub fn cell_time(&self) -> Duration {
        Duration::from_millis(if self.quick { 500 } else { 2000 })
    }

    /// Tells whether a section was asked for.
    pub fn wants(&self, section: Section) -> bool {
        self.only.is_empty() || self.only.contains(&section)
    }

    /// Gives the server binary: as told, or the one beside this program.
    pub fn tandem_path(&self) -> Result<PathBuf> {
        if let Some(path) = &self.tandem {
            return Ok(path.clone());
        }
        let own = std::env::current_exe().context("failed to find this program's own path")?;
        Ok(own.with_file_name("tandem"))
    }
}
