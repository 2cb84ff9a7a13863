//! Waiting for a condition of the cluster.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Pause between two looks: each is a call of the API.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Looks until `look` succeeds and gives its value; after `limit` the error tells `what`, and the
/// error of the last look as the cause.
pub fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match look() {
            Ok(value) => return Ok(value),
            Err(last) if Instant::now() >= deadline => {
                return Err(last.context(format!("after {} s still not: {what}", limit.as_secs())));
            }
            Err(_) => std::thread::sleep(LOOK_INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{anyhow, ensure};

    #[test]
    fn the_last_look_is_told_when_the_time_is_over() {
        let mut looks = 0;
        let error = wait_until("three moons", Duration::from_millis(150), || {
            looks += 1;
            Err::<(), _>(anyhow!("{looks} looks"))
        })
        .expect_err("there are none");
        assert!(looks >= 2, "{looks}");
        assert_eq!(
            format!("{error:#}"),
            format!("after 0 s still not: three moons: {looks} looks")
        );
    }

    #[test]
    fn a_condition_that_comes_true_ends_the_waiting() {
        let mut looks = 0;
        let value = wait_until("the second look", Duration::from_secs(5), || {
            looks += 1;
            ensure!(looks == 2, "too early");
            Ok(looks)
        });
        assert_eq!(value.expect("it comes"), 2);
    }
}
