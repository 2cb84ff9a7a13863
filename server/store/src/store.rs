//! All databases of one instance: opened when they exist or are first used.

use crate::database::{Database, OpenReport, Options};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::tree::Engine;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tandem_merge::{Origin, Stamp};

/// The databases of an instance.
pub struct Store {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    engine: Engine,
    options: Options,
    slots: Vec<OnceLock<Arc<Database>>>,
    opening: Mutex<Option<(Origin, Stamp)>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens every database that has a directory under `root`; `count` is what SELECT may pick.
    /// `report` is called with what each recovery did.
    pub fn open(
        root: &Path,
        count: u32,
        disk: Arc<dyn Disk>,
        engine: Engine,
        options: Options,
        mut report: impl FnMut(u32, OpenReport),
    ) -> Result<Self, StoreError> {
        let slots = (0..count).map(|_| OnceLock::new()).collect();
        let opening = Mutex::new(None);
        let store = Self {
            root: root.to_path_buf(),
            disk,
            engine,
            options,
            slots,
            opening,
        };
        for number in 0..count {
            let directory = store.directory(number);
            let there = store
                .disk
                .list(&directory)
                .map_err(StoreError::io("list databases"))?;
            if !there.is_empty() {
                let (database, what) = store.open_one(number)?;
                report(number, what);
                // A slot is set once; this one is new.
                drop(store.slots[number as usize].set(database));
            }
        }
        Ok(store)
    }

    fn directory(&self, number: u32) -> PathBuf {
        self.root.join(format!("db{number}"))
    }

    fn open_one(&self, number: u32) -> Result<(Arc<Database>, OpenReport), StoreError> {
        let directory = self.directory(number);
        Database::open(
            number,
            &directory,
            &self.disk,
            &self.engine,
            self.options.clone(),
        )
    }

    /// How many databases SELECT may pick from.
    pub fn count(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The database if it is open.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&Arc<Database>> {
        self.slots.get(number as usize)?.get()
    }

    /// The database, opened now if it never was. `None`: no such number.
    pub fn database(&self, number: u32) -> Result<Option<&Arc<Database>>, StoreError> {
        let Some(slot) = self.slots.get(number as usize) else {
            return Ok(None);
        };
        if let Some(database) = slot.get() {
            return Ok(Some(database));
        }
        let life = self.opening.lock();
        if slot.get().is_none() {
            let (database, _) = self.open_one(number)?;
            if let Some((origin, floor)) = *life {
                database.begin_life(origin, floor);
            }
            drop(slot.set(database));
        }
        Ok(slot.get())
    }

    /// All open databases in order.
    pub fn opened(&self) -> impl Iterator<Item = &Arc<Database>> {
        self.slots.iter().filter_map(OnceLock::get)
    }

    /// Begins a writer's life in every database, those opened later included.
    pub fn begin_life(&self, origin: Origin, stamp_floor: Stamp) {
        let mut life = self.opening.lock();
        *life = Some((origin, stamp_floor));
        for database in self.opened() {
            database.begin_life(origin, stamp_floor);
        }
    }

    /// Ends the writer's life everywhere.
    pub fn end_life(&self) {
        let mut life = self.opening.lock();
        *life = None;
        for database in self.opened() {
            database.end_life();
        }
    }
}
