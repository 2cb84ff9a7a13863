//! redis-benchmark, the load generator everybody knows. It is itself the limit at pipeline 1.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::request::Operation;
use super::server::Server;
use super::settings::Settings;

/// Gives requests a second by redis-benchmark, for SET and GET.
pub fn run(
    settings: &Settings,
    server: &Server,
    operation: Operation,
    pipeline: usize,
    value_bytes: usize,
) -> Result<f64> {
    let test = match operation {
        Operation::Set => "set",
        Operation::Get => "get",
        other => bail!("redis-benchmark is not asked for {other:?}"),
    };
    let per_second = if pipeline > 1 { 400_000.0 } else { 60_000.0 };
    let requests = (per_second * settings.cell_time().as_secs_f64()) as u64;
    let mut command = Command::new(&settings.redis_benchmark);
    command
        .args(["-h", "127.0.0.1", "-c", "50", "--csv", "-t", test])
        .args(["-p", &server.port().to_string()])
        .args(["-n", &requests.to_string()])
        .args(["-r", &settings.key_count().to_string()])
        .args(["-d", &value_bytes.to_string()])
        .args(["-P", &pipeline.to_string()]);
    let output = command.output().context("failed to run redis-benchmark")?;
    let text = String::from_utf8_lossy(&output.stdout);
    rate(&text).with_context(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!(
            "redis-benchmark gave no rate: {} {}",
            text.trim(),
            errors.trim()
        )
    })
}

/// Finds the rate in `"SET","512820.50",...`.
fn rate(csv: &str) -> Option<f64> {
    let line = csv
        .lines()
        .find(|line| line.starts_with("\"SET\"") || line.starts_with("\"GET\""))?;
    line.split(',').nth(1)?.trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn rate_is_the_second_column() {
        let csv = "\"test\",\"rps\"\n\"GET\",\"689655.19\",\"0.814\"\n";
        assert_eq!(super::rate(csv), Some(689_655.19));
        assert_eq!(super::rate("Error from server"), None);
    }
}
