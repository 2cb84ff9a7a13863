//! Databases that write at random, and links between them without a network.

use crate::database::{Applied, Database, Options, OriginMap};
use crate::disk::{Disk, DiskFile, RealDisk};
use crate::log::{Class, LogReader};
use crate::resync::{Intake, Source};
use crate::tree::Engine;
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tandem_merge::stamp::stamp_of_ms;
use tandem_merge::{
    Draft, EffectWriter, History, Kind, NEVER, Number, Objects, Origin, VersionVector,
};

/// Pseudo-random numbers of a seed.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }
}

/// A real disk that keeps a copy of the directory from right before and right after each manifest.
#[derive(Default)]
pub(super) struct Images {
    real: RealDisk,
    pub(super) taken: Mutex<Option<(tempfile::TempDir, tempfile::TempDir)>>,
    pub(super) armed: std::sync::atomic::AtomicBool,
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("lists") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_directory(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copies");
        }
    }
}

impl Disk for Images {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.real.create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.real.open(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.real.list(directory)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.real.remove(path)
    }
    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.real.sync_directory(directory)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.real.create_dir(path)
    }
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.real.read(path)
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let directory = path.parent().expect("a directory");
        let image = || {
            let copy = tempfile::tempdir().expect("a directory");
            copy_directory(directory, copy.path());
            copy
        };
        if !self.armed.load(std::sync::atomic::Ordering::Relaxed) {
            return self.real.replace(path, bytes);
        }
        let before = image();
        self.real.replace(path, bytes)?;
        *self.taken.lock() = Some((before, image()));
        Ok(())
    }
}

/// Opens a database on the real disk.
pub(super) fn open(directory: &Path) -> Arc<Database> {
    open_on(directory, &(Arc::new(RealDisk) as Arc<dyn Disk>))
}

pub(super) fn open_on(directory: &Path, disk: &Arc<dyn Disk>) -> Arc<Database> {
    let options = Options {
        segment_bytes: 64 << 10,
        ..Options::default()
    };
    let engine = Engine::new(4 << 20, 64);
    let opened = Database::open(0, directory, disk, &engine, options);
    opened.expect("opens").0
}

/// A database with its directory and what it draws by.
pub(super) struct Site {
    pub(super) directory: tempfile::TempDir,
    pub(super) database: Arc<Database>,
    pub(super) images: Arc<Images>,
    pub(super) random: Random,
    pub(super) clock: u64,
    pub(super) life: Origin,
    /// Keys it draws from: fewer later, so that the rest keeps what a resync made of it.
    pub(super) keys: u64,
}

/// Where all clocks begin, in milliseconds.
const BEGIN_MS: u64 = 1_000_000;
/// After everything that expires in a test.
pub(super) const LATE_MS: u64 = BEGIN_MS * 2;

impl Site {
    pub(super) fn new(server_id: u32, seed: u64) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let images = Arc::new(Images::default());
        let disk: Arc<dyn Disk> = Arc::<Images>::clone(&images);
        let database = open_on(directory.path(), &disk);
        let life = Origin {
            server_id,
            epoch: 1,
            incarnation: u64::from(server_id) << 32 | seed,
        };
        Self {
            directory,
            database,
            images,
            random: Random::new(seed << 8 | u64::from(server_id)),
            clock: BEGIN_MS + u64::from(server_id),
            life,
            keys: KEYS,
        }
    }

    pub(super) fn write_as_master(self) -> Self {
        self.database.begin_life(self.life, 0);
        self
    }

    /// One command of this draft.
    pub(super) fn command(&mut self, change: impl FnOnce(&mut Draft<'_>)) {
        self.clock += 3;
        let wall = stamp_of_ms(self.clock);
        let mut locked = self.database.lock_all(wall);
        for key in 0..KEYS {
            locked.load(name(key).as_bytes()).expect("loads");
        }
        locked.load_contributors().expect("loads");
        let mut effects = EffectWriter::default();
        {
            let origins = locked.origins();
            let mut draft = Draft::new(&locked, &origins, locked.own(), locked.now());
            change(&mut draft);
            draft.finish(0, &mut effects);
        }
        locked.commit(&effects).expect("commits");
    }

    pub(super) fn flush(&mut self) {
        self.clock += 3;
        let wall = stamp_of_ms(self.clock);
        let mut locked = self.database.lock_all(wall);
        locked.load_contributors().expect("loads");
        let mut effects = EffectWriter::default();
        {
            let origins = locked.origins();
            let mut draft = Draft::new(&locked, &origins, locked.own(), locked.now());
            draft.flush(locked.contributors());
            draft.finish(0, &mut effects);
        }
        locked.commit(&effects).expect("commits");
    }

    /// A random command, or a step of upkeep.
    pub(super) fn act(&mut self) {
        let mut random = self.random.clone();
        let key = name(random.below(self.keys));
        let (key, field) = (key.as_bytes(), format!("f{}", random.below(5)));
        let (draw, number) = (random.next(), random.below(1_000));
        let value = format!("{}-{}", self.life.server_id, draw);
        let now = stamp_of_ms(self.clock);
        match random.below(100) {
            0..25 => self.command(|draft| draft.set(key, value.as_bytes(), NEVER)),
            25..35 => self.command(|draft| {
                draft.set(key, value.as_bytes(), now + stamp_of_ms(number));
            }),
            35..50 => self.command(|draft| {
                let _ = draft.add(key, Kind::String, &[], Number::Int(number as i64));
            }),
            50..60 => self.command(|draft| {
                draft.put(key, Kind::Hash, field.as_bytes(), value.as_bytes());
            }),
            60..67 => self.command(|draft| {
                let _ = draft.add(
                    key,
                    Kind::Hash,
                    field.as_bytes(),
                    Number::Int(number as i64),
                );
            }),
            67..72 => self.command(|draft| {
                draft.remove(key, Kind::Hash, field.as_bytes());
            }),
            72..84 => self.command(|draft| {
                draft.delete(key);
            }),
            84..87 => self.command(|draft| {
                draft.expire(key, now + stamp_of_ms(number * 10));
            }),
            87..89 => self.command(|draft| {
                draft.persist(key);
            }),
            89..92 => {
                let other = name(draw % self.keys);
                self.command(|draft| {
                    draft.rename(key, other.as_bytes());
                });
            }
            92 if draw % 8 == 0 => self.flush(),
            93 => drop(self.database.checkpoint().expect("checkpoints")),
            94 => {
                for place in 0..4096 {
                    self.database.cells.evict_slice(place / 64, place % 64);
                }
            }
            _ => {}
        }
        self.random = random;
    }

    pub(super) fn act_often(&mut self, most: u64) {
        for _ in 0..self.random.below(most + 1) {
            self.act();
        }
    }

    pub(super) fn digest(&self) -> (u128, u64) {
        self.database.digest(stamp_of_ms(LATE_MS)).expect("digests")
    }

    pub(super) fn vector(&self) -> Vec<(Origin, u64)> {
        vector(&self.database)
    }

    pub(super) fn string(&self, key: &str) -> Option<String> {
        let locked = self.database.lock_one(key.as_bytes(), 0).expect("locks");
        let object = locked.object(key.as_bytes())?;
        let value = object.string(locked.now(), &locked.origins())?;
        Some(String::from_utf8_lossy(&value).into_owned())
    }
}

const KEYS: u64 = 60;

pub(super) fn name(key: u64) -> String {
    format!("key-{key}")
}

/// What a database holds, by name.
pub(super) fn vector(database: &Database) -> Vec<(Origin, u64)> {
    let commit = database.commit();
    let history = &commit.history;
    let mut rows: Vec<_> = history
        .vv
        .rows()
        .filter(|(_, row)| row.high > 0)
        .filter_map(|(index, row)| Some((history.origins.origin(index)?, row.high)))
        .collect();
    rows.sort();
    rows
}

/// One direction of a link: reads a log, applies it elsewhere.
pub(super) struct Link {
    from: Arc<Database>,
    reader: LogReader,
    pub(super) map: OriginMap,
}

impl Link {
    pub(super) fn new(from: &Arc<Database>, lsn: u64) -> Self {
        Self {
            from: Arc::clone(from),
            reader: LogReader::open(Arc::clone(&from.log), lsn).expect("opens the log"),
            map: OriginMap::default(),
        }
    }

    /// Tells the receiver of all origins.
    pub(super) fn announce(&mut self, to: &Database) {
        let origins = self.from.commit().history.origins.clone();
        for (_, origin) in origins.iter().skip(self.map.len()) {
            to.announce(&mut self.map, origin);
        }
    }

    /// Hands over up to so many records; whether anything was left is the answer.
    pub(super) fn pump(
        &mut self,
        to: &Database,
        most: u64,
        mut take: impl FnMut(&[u8], &OriginMap),
    ) -> bool {
        self.from.flush_all().expect("flushes");
        let limit = self.from.log.written();
        self.announce(to);
        for _ in 0..most {
            let Some(entry) = self.reader.next(limit).expect("reads the log") else {
                return false;
            };
            if entry.class == Class::Record {
                take(entry.payload, &self.map);
            }
        }
        true
    }

    /// Applies up to so many records.
    pub(super) fn apply(&mut self, to: &Arc<Database>, most: u64) -> bool {
        self.pump(to, most, |record, map| {
            let applied = to.apply(record, map, &mut |_| {}).expect("applies");
            if let Applied::Applied(_, lsn) = applied {
                to.flush(lsn).expect("flushes");
            }
        })
    }
}

/// A full resync on its way: the source's scan, its log, and the receiver.
pub(super) struct Resync {
    pub(super) source: Source,
    pub(super) link: Link,
    pub(super) intake: Intake,
    goal: Option<VersionVector>,
}

impl Resync {
    pub(super) fn begin(from: &Site, to: &Site, mode: super::super::Mode) -> Self {
        let source = Source::begin(&from.database).expect("begins");
        let mut link = Link::new(&from.database, source.lsn());
        link.announce(&to.database);
        let mut encoded = Vec::new();
        source.history().encode(&mut encoded);
        let mut reader = tandem_merge::codec::Reader::new(&encoded);
        let history = History::decode(&mut reader).expect("decodes");
        let intake = Intake::begin(&to.database, mode, &history, &link.map, source.bytes());
        Self {
            source,
            link,
            intake: intake.expect("begins"),
            goal: None,
        }
    }

    /// One chunk. False at the end of the scan.
    pub(super) fn scan(&mut self, to: &Site, bytes: usize) -> bool {
        let mut packed = Vec::new();
        let chunk = self.source.next_chunk(bytes, &mut packed).expect("scans");
        self.link.announce(&to.database);
        self.intake.learn(&self.link.map);
        if let Some(chunk) = chunk {
            self.intake.chunk(chunk, packed).expect("takes a chunk");
            return true;
        }
        self.intake.end_scan().expect("the scan is complete");
        let vv = self.link.from.commit().history.vv.clone();
        self.link.announce(&to.database);
        self.intake.learn(&self.link.map);
        self.goal = Some(self.link.map.vector(&vv).expect("known origins"));
        false
    }

    pub(super) fn records(&mut self, to: &Site, most: u64) {
        let intake = &mut self.intake;
        self.link.pump(&to.database, most, |record, map| {
            intake.learn(map);
            intake.record(record).expect("takes a record");
        });
    }

    /// Whether the receiver may switch.
    pub(super) fn is_ready(&mut self) -> bool {
        let Some(goal) = &self.goal else { return false };
        self.intake.holds(goal).expect("replays the own log")
    }
}
