//! A log with its tail, and what was appended to it, for comparison.

use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tandem_merge::record::{encode_plain, peek};
use tandem_merge::{Origin, OriginIndex, Origins, VersionVector};
use tandem_sim::disk::SimDisk;
use tandem_store::disk::Disk;
use tandem_store::log::{
    Class, Corruption, Frame, Log, LogError, LogOptions, Recovered, SegmentHead, Tail, scan,
};

pub(crate) const DIRECTORY: &str = "log";

/// The smallest tail: a frame, and the origins and vector that its segment heads carry.
pub(crate) struct End {
    frame: Frame,
    pub(crate) origins: Origins,
    pub(crate) vv: VersionVector,
}

impl Tail for End {
    fn frame(&mut self) -> &mut Frame {
        &mut self.frame
    }
}

/// A record as it was appended, and the lsn behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: u64,
}

impl Appended {
    pub(crate) fn origin(&self) -> OriginIndex {
        peek(&self.bytes).unwrap().0
    }
}

/// What opening a journal found wrong.
pub(crate) struct Found {
    pub(crate) corruptions: Vec<Corruption>,
    pub(crate) torn_bytes: u64,
}

pub(crate) struct Journal {
    pub(crate) disk: SimDisk,
    pub(crate) log: Arc<Log>,
    pub(crate) tail: Mutex<End>,
    pub(crate) appended: Vec<Appended>,
    pub(crate) recovered: Found,
    sequences: Vec<u64>,
}

pub(crate) fn origin(number: u32) -> Origin {
    Origin {
        server_id: number + 1,
        epoch: 1,
        incarnation: u64::from(number) * 77 + 5,
    }
}

/// The path of a segment.
pub(crate) fn segment(number: u64) -> std::path::PathBuf {
    Path::new(DIRECTORY).join(format!("log.{number:010}"))
}

/// What a scan from `from` on delivers, and what it says.
pub(crate) fn read_back(disk: &SimDisk, from: u64) -> io::Result<(Vec<Appended>, Recovered)> {
    read_through(&(Arc::new(disk.clone()) as Arc<dyn Disk>), from)
}

/// The same through any disk.
pub(crate) fn read_through(
    disk: &Arc<dyn Disk>,
    from: u64,
) -> io::Result<(Vec<Appended>, Recovered)> {
    let first = SegmentHead {
        number: 1,
        base: 0,
        origins: Origins::default(),
        vv: VersionVector::new(),
    };
    let mut found = Vec::new();
    let recovered = scan(
        disk,
        Path::new(DIRECTORY),
        from,
        &first,
        |entry, origins| {
            if entry.class == Class::Head {
                return Ok(());
            }
            let (index, _) = peek(entry.payload).unwrap();
            assert_eq!(
                origins.origin(index),
                Some(origin(index.0)),
                "an origin keeps its number"
            );
            found.push(Appended {
                bytes: entry.payload.to_vec(),
                end: entry.end,
            });
            Ok(())
        },
    )?;
    Ok((found, recovered))
}

impl Journal {
    /// Opens or begins the log on this disk.
    pub(crate) fn open(disk: &SimDisk, segment_bytes: u64) -> Self {
        Self::open_from(disk, segment_bytes, 0)
    }

    /// The same with a checkpoint that says where replay begins.
    pub(crate) fn open_from(disk: &SimDisk, segment_bytes: u64, from: u64) -> Self {
        let (appended, recovered) = read_back(disk, from).unwrap();
        let options = LogOptions { segment_bytes };
        let frame = Frame::resume(&recovered, options);
        let found = Found {
            corruptions: recovered.corruptions.clone(),
            torn_bytes: recovered.torn_bytes,
        };
        let origins = recovered.announced.clone();
        let log = Log::new(Arc::new(disk.clone()), DIRECTORY.into(), recovered);
        let (mut vv, mut sequences) = (VersionVector::new(), vec![0; 8]);
        for one in &appended {
            let (index, sequence) = peek(&one.bytes).unwrap();
            vv.raise(index, sequence);
            sequences[index.at()] = sequence;
        }
        Self {
            disk: disk.clone(),
            log: Arc::new(log),
            tail: Mutex::new(End { frame, origins, vv }),
            appended,
            recovered: found,
            sequences,
        }
    }

    /// Appends a record of this origin with so many bytes behind its header.
    pub(crate) fn append(&mut self, number: u32, length: usize) {
        let mut tail = self.tail.lock();
        let tail = &mut *tail;
        while tail.origins.len() <= number as usize {
            tail.origins.intern(origin(tail.origins.len() as u32));
        }
        let index = OriginIndex(number);
        let sequence = self.sequences[index.at()] + 1;
        self.sequences[index.at()] = sequence;
        let mut header = Vec::new();
        encode_plain(index, sequence, sequence << 16, &mut header);
        let body: Vec<u8> = (0..length)
            .map(|at| (at as u64 * 31 + sequence * 7 + 1) as u8)
            .collect();
        let end = tail.frame.append([&header, &body], &tail.origins, &tail.vv);
        tail.vv.raise(index, sequence);
        self.appended.push(Appended {
            bytes: [header, body].concat(),
            end,
        });
    }

    pub(crate) fn head(&self) -> u64 {
        self.tail.lock().frame.head()
    }

    pub(crate) fn flush(&self) -> Result<(), LogError> {
        let head = self.head();
        self.log.flush(head, &self.tail)
    }

    pub(crate) fn sync(&self) -> u64 {
        self.flush().unwrap();
        self.log.sync().unwrap()
    }

    /// How many records end at or below this lsn.
    pub(crate) fn count_upto(&self, lsn: u64) -> usize {
        self.appended.iter().filter(|one| one.end <= lsn).count()
    }
}
