//! A recovery that is itself ended by power loss, after any of its steps.

use crate::journal::{Journal, read_back, read_through};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tandem_sim::disk::{Crash, SimDisk};
use tandem_store::disk::{Disk, DiskFile};

/// A disk that does so many more changes and then none.
struct Ending {
    disk: SimDisk,
    left: Arc<AtomicUsize>,
}

struct EndingFile {
    file: Arc<dyn DiskFile>,
    left: Arc<AtomicUsize>,
}

fn spend(left: &AtomicUsize) -> io::Result<()> {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    })
    .map(|_| ())
    .map_err(|_| io::Error::other("the power is gone"))
}

impl DiskFile for EndingFile {
    fn append(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        spend(&self.left)?;
        self.file.append(offset, bytes)
    }
    fn sync(&self) -> io::Result<()> {
        spend(&self.left)?;
        self.file.sync()
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        spend(&self.left)?;
        self.file.truncate(length)
    }
}

impl Ending {
    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let left = Arc::clone(&self.left);
        Arc::new(EndingFile { file, left })
    }
}

impl Disk for Ending {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        spend(&self.left)?;
        Ok(self.file(self.disk.create(path)?))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.open(path)?))
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(directory)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        spend(&self.left)?;
        self.disk.remove(path)
    }
    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        spend(&self.left)?;
        self.disk.sync_directory(directory)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(path)
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        spend(&self.left)?;
        self.disk.replace(path, bytes)
    }
}

/// Numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count
    }
}

/// A journal of several segments, few of them synced, behind its crash.
fn crashed(round: usize, how: Crash) -> Journal {
    let mut numbers = Numbers(round as u64 * 977 + 11);
    let mut journal = Journal::open(&SimDisk::default(), 600);
    for at in 0..12 {
        let length = [10, 200, 500][numbers.below(3)];
        journal.append(numbers.below(3) as u32, length);
        if at == round % 5 {
            journal.sync();
        } else {
            journal.flush().unwrap();
        }
    }
    journal.disk.crash(how, &mut |count| numbers.below(count));
    journal
}

#[test]
fn a_recovery_ended_by_power_loss_after_any_step_is_done_by_the_next() {
    let mut numbers = Numbers(5);
    let (mut ended, mut most) = (0, 0);
    for round in 0..300 {
        let how = [Crash::Power, Crash::Process][round % 2];
        for steps in 0.. {
            let journal = crashed(round, how);
            let disk = journal.disk.clone();
            let safe = journal.count_upto(journal.log.durable());
            let ending: Arc<dyn Disk> = Arc::new(Ending {
                disk: disk.clone(),
                left: Arc::new(AtomicUsize::new(steps)),
            });
            let place = format!("round {round}, {how:?}, ended after {steps} steps");
            let done = match read_through(&ending, 0) {
                Ok((found, _)) => Some(found.len()),
                Err(_) => None,
            };
            disk.crash(Crash::Power, &mut |count| numbers.below(count));
            let mut next = Journal::open(&disk, 600);
            assert_eq!(next.recovered.corruptions, [], "{place}");
            assert!(journal.appended.starts_with(&next.appended), "{place}");
            let kept = done.unwrap_or(safe);
            assert!(next.appended.len() >= kept, "{place}: {kept} were durable");
            for _ in 0..5 {
                next.append(1, 300);
            }
            next.sync();
            disk.crash(Crash::Power, &mut |count| numbers.below(count));
            let (found, recovered) = read_back(&disk, 0).unwrap();
            assert_eq!(found, next.appended, "{place}");
            assert_eq!(recovered.corruptions, [], "{place}");
            if done.is_some() {
                most = most.max(steps);
                break;
            }
            ended += 1;
        }
    }
    assert!(
        ended > 1_000 && most > 10,
        "{ended} ended, at most {most} steps"
    );
}
