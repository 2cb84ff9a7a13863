//! Segments that go by their age, on real files whose times are set.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tandem_merge::stamp::stamp_of_ms;
use tandem_merge::{Draft, EffectWriter, NEVER, Origin};
use tandem_store::database::Retention;
use tandem_store::disk::{Disk, RealDisk};
use tandem_store::tree::Engine;
use tandem_store::{Database, Options};
use tempfile::TempDir;

const DAY: Duration = Duration::from_hours(24);

/// A database whose log has so many segments, and its directory.
fn with_segments(count: usize) -> (TempDir, Arc<Database>) {
    let directory = TempDir::new().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let options = Options {
        segment_bytes: 1,
        ..Options::default()
    };
    let (database, _) =
        Database::open(0, directory.path(), &disk, &Engine::memory(), options).unwrap();
    let life = Origin {
        server_id: 1,
        epoch: 1,
        incarnation: 7,
    };
    database.begin_life(life, 0);
    while database.log.segments().len() < count {
        let mut locked = database.lock_one(b"key", stamp_of_ms(1_000)).unwrap();
        let mut effects = EffectWriter::default();
        {
            let origins = locked.origins();
            let mut draft = Draft::new(&locked, &origins, locked.own(), locked.now());
            draft.set(b"key", b"value", NEVER);
            draft.finish(0, &mut effects);
        }
        locked.commit(&effects).unwrap();
        drop(locked);
        database.flush_all().unwrap();
    }
    (directory, database)
}

/// Sets the time of the last write of these segments.
fn written_at(directory: &Path, numbers: impl Iterator<Item = u64>, time: SystemTime) {
    for number in numbers {
        let path = directory.join(format!("log/log.{number:010}"));
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(time).unwrap();
    }
}

/// What `expire-logs-nums 1000` and `expire-logs-days 7` keep at this time.
fn a_week_before(now: SystemTime) -> Retention {
    Retention {
        segments_min: 1_000,
        old_before: now.checked_sub(7 * DAY),
        bytes_max: 0,
    }
}

#[test]
fn segments_go_when_they_are_old_and_only_then() {
    let (directory, database) = with_segments(30);
    assert!(database.checkpoint().unwrap());
    let now = SystemTime::now();
    let keep = a_week_before(now);
    assert_eq!(database.purge(u64::MAX, keep).unwrap(), (0, false));
    written_at(directory.path(), 1..=3, now - 8 * DAY);
    written_at(directory.path(), 4..=4, now - 6 * DAY);
    let of_any_age = Retention {
        old_before: None,
        ..keep
    };
    assert_eq!(database.purge(u64::MAX, of_any_age).unwrap(), (0, false));
    assert_eq!(database.purge(u64::MAX, keep).unwrap(), (3, false));
    assert_eq!(database.log.segments()[0].number, 4);
    let tomorrow = a_week_before(now + DAY + DAY / 2);
    assert_eq!(database.purge(u64::MAX, tomorrow).unwrap(), (1, false));
}

#[test]
fn ten_segments_stay_however_old_they_are() {
    let (directory, database) = with_segments(15);
    assert!(database.checkpoint().unwrap());
    let now = SystemTime::now();
    let numbers = || database.log.segments().into_iter().map(|one| one.number);
    written_at(directory.path(), numbers(), now - 400 * DAY);
    let keep = a_week_before(now);
    assert_eq!(database.purge(u64::MAX, keep).unwrap(), (5, false));
    assert_eq!(numbers().count(), 10);
    assert_eq!(database.purge(u64::MAX, keep).unwrap(), (0, false));
}

#[test]
fn an_old_segment_that_somebody_needs_stays_unless_the_bound_says_so() {
    let (directory, database) = with_segments(15);
    assert!(database.checkpoint().unwrap());
    let now = SystemTime::now();
    let segments = database.log.segments();
    let numbers = segments.iter().map(|one| one.number);
    written_at(directory.path(), numbers, now - 400 * DAY);
    let keep = a_week_before(now);
    let needed = segments[2].base;
    assert_eq!(database.purge(needed - 1, keep).unwrap(), (1, false));
    assert_eq!(database.purge(needed, keep).unwrap(), (1, false));
    assert_eq!(database.purge(needed, keep).unwrap(), (0, false));
    let bounded = Retention {
        bytes_max: 1,
        ..keep
    };
    let (removed, overrun) = database.purge(needed, bounded).unwrap();
    assert!(removed > 0 && overrun);
}

#[test]
fn an_old_segment_that_a_restart_replays_stays() {
    let (directory, database) = with_segments(15);
    let now = SystemTime::now();
    let segments = database.log.segments();
    let numbers = segments.iter().map(|one| one.number);
    written_at(directory.path(), numbers, now - 400 * DAY);
    let keep = a_week_before(now);
    assert_eq!(database.purge(u64::MAX, keep).unwrap(), (0, false));
    assert!(database.checkpoint().unwrap());
    assert_eq!(database.purge(u64::MAX, keep).unwrap(), (5, false));
}
