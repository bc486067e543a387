//! The files of the log: segments of one size, filled with zeros and synced before they are used.
//!
//! A flush into blocks that are already written changes no metadata of the file system, which takes a third off its time
//! and its processor. So a segment is made whole, ahead of need, on a thread of its own.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tessera_storage::StoreError;

use crate::folder::Folder;

/// Bytes of a segment. A row, at most some hundred KiB, lies in one.
pub const SEGMENT: u64 = 16 << 20;
/// Zeros are written and synced in steps of this, with a pause after each unless the log waits for the segment: so a
/// flush of the log never stands long behind them. A segment takes about half a second.
const STEP: usize = 256 << 10;
const PAUSE: Duration = Duration::from_millis(5);
/// Files kept open for reading.
const OPEN: usize = 256;
/// How long the log waits for its next segment.
const PATIENCE: Duration = Duration::from_secs(10);

/// The folder with the segments.
#[derive(Clone, Debug)]
pub struct Segments {
    path: PathBuf,
    open: Arc<Mutex<HashMap<u64, Arc<File>>>>,
}

impl Segments {
    /// Opens the folder, making it and the first segment if there is none.
    ///
    /// # Errors
    /// `Fatal` when a file cannot be read or made, or one is missing or of another size.
    pub fn open(path: &Path, folder: &Arc<Folder>) -> Result<Self, StoreError> {
        let segments = Self { path: path.to_owned(), open: Arc::default() };
        let fatal = |e: io::Error| StoreError::Fatal(format!("the log in {} cannot be opened: {}", path.display(), said(&e)));
        fs::create_dir_all(path).map_err(fatal)?;
        let mut count = 0_u64;
        let mut sizes = HashMap::new();
        for entry in fs::read_dir(path).map_err(fatal)? {
            let entry = entry.map_err(fatal)?;
            let name = entry.file_name();
            match name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok()) {
                Some(number) => {
                    count = count.max(number + 1);
                    sizes.insert(number, entry.metadata().map_err(fatal)?.len());
                }
                // One that was being made when the process ended.
                None if name.to_str().is_some_and(|name| name.ends_with(".new")) => fs::remove_file(entry.path()).map_err(fatal)?,
                None => {}
            }
        }
        let damaged = (0..count).find(|number| sizes.get(number) != Some(&SEGMENT));
        if let Some(number) = damaged {
            let text = format!("{} is missing or cut: the log is damaged; restore the folder from a backup", segments.name(number).display());
            return Err(StoreError::Fatal(text));
        }
        if count == 0 {
            segments.make(0, &AtomicBool::new(true), &|| Some(folder.clone())).map_err(fatal)?;
        }
        // A segment may have been named just before the process ended.
        segments.sync_names().map_err(fatal)?;
        Ok(segments)
    }

    fn name(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:08}.log"))
    }

    /// Whether a segment is there.
    ///
    /// # Errors
    /// What the disk said: then it may be there.
    pub fn has(&self, number: u64) -> io::Result<bool> {
        self.name(number).try_exists()
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Makes a segment of zeros, if there is not one; it has its name only when it is whole and synced. `ours` holds the
    /// folder's lock for a step, and says whether it is still ours.
    fn make(&self, number: u64, wanted: &AtomicBool, ours: &dyn Fn() -> Option<Arc<Folder>>) -> io::Result<File> {
        if self.has(number)? {
            self.sync_names()?;
            return self.writable(number);
        }
        let new = self.name(number).with_extension("new");
        let closed = || io::Error::other("the folder was closed");
        let fill = || -> io::Result<File> {
            let mut file = File::options().create(true).truncate(true).write(true).open(&new)?;
            let zeros = vec![0; STEP];
            for _ in 0..SEGMENT / STEP as u64 {
                let _lock = ours().ok_or_else(closed)?;
                file.write_all(&zeros)?;
                file.sync_data()?;
                if !wanted.load(Ordering::Relaxed) {
                    std::thread::sleep(PAUSE);
                }
            }
            file.sync_all()?;
            Ok(file)
        };
        let file = fill();
        let _lock = ours().ok_or_else(closed)?;
        let file = file.inspect_err(|_| {
            // What it has taken of a full disk is given back, for the index to use. Should that fail, the next start does it.
            fs::remove_file(&new).unwrap_or_else(|error| tracing::debug!(%error, "a segment cut short is left"));
        })?;
        fs::rename(&new, self.name(number))?;
        self.sync_names()?;
        Ok(file)
    }

    /// A segment, for writing.
    ///
    /// # Errors
    /// What the disk said.
    pub fn writable(&self, number: u64) -> io::Result<File> {
        File::options().write(true).open(self.name(number))
    }

    /// All bytes of a segment.
    ///
    /// # Errors
    /// What the disk said.
    pub fn whole(&self, number: u64) -> io::Result<Vec<u8>> {
        fs::read(self.name(number))
    }

    /// Bytes at a position of the log, as many as fit `bytes` and lie in the same segment; answers how many.
    ///
    /// # Errors
    /// What the disk said.
    pub fn read(&self, position: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let file = self.readable(position / SEGMENT)?;
        let mut read = 0;
        while read < bytes.len() {
            match file.read_at(&mut bytes[read..], position % SEGMENT + read as u64)? {
                0 => break,
                more => read += more,
            }
        }
        Ok(read)
    }

    fn readable(&self, number: u64) -> io::Result<Arc<File>> {
        // Only whole entries are put in and taken out under the lock.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(&number) {
            return Ok(file.clone());
        }
        if open.len() >= OPEN {
            open.clear();
        }
        let file = Arc::new(File::open(self.name(number))?);
        open.insert(number, file.clone());
        Ok(file)
    }

    /// Starts the thread that makes segments ahead, the first being `number`. Those that are there already must hold zeros.
    ///
    /// # Errors
    /// `Fatal` when the thread cannot be started.
    pub fn prepare(&self, number: u64, ours: &Arc<Folder>) -> Result<Prepared, StoreError> {
        let (ready, segments) = mpsc::sync_channel(0);
        let (trouble, wanted) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let (folder, told, hurry) = (self.clone(), trouble.clone(), wanted.clone());
        // The lock is not kept while this waits to hand a segment over: then the folder may be closed.
        let ours = Arc::downgrade(ours);
        let work = move || {
            let mut number = number;
            while ours.strong_count() > 0 {
                let made = folder.make(number, &hurry, &|| ours.upgrade());
                let set = |text| *told.lock().unwrap_or_else(PoisonError::into_inner) = text;
                match made {
                    Ok(file) => {
                        set(None);
                        if ready.send(file).is_err() {
                            return;
                        }
                        number += 1;
                    }
                    Err(error) => {
                        tracing::error!(error = said(&error), "the next segment of the log cannot be made; writes go on until this one is full");
                        set(Some(said(&error)));
                        std::thread::sleep(Duration::from_secs(1));
                    }
                }
            }
        };
        let spawned = std::thread::Builder::new().name("segments".into()).spawn(work);
        spawned.map_err(|e| StoreError::Fatal(format!("the thread that makes segments cannot be started: {e}")))?;
        Ok(Prepared { segments, wanted, trouble })
    }
}

/// Segments that were made ahead.
#[derive(Debug)]
pub struct Prepared {
    segments: Receiver<File>,
    wanted: Arc<AtomicBool>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Prepared {
    /// The next one; waits for it while it is being made.
    ///
    /// # Errors
    /// One sentence: what keeps it from being made.
    pub fn next(&self) -> Result<File, String> {
        self.wanted.store(true, Ordering::Relaxed);
        let next = self.wait();
        self.wanted.store(false, Ordering::Relaxed);
        next
    }

    fn wait(&self) -> Result<File, String> {
        let asked = Instant::now();
        loop {
            match self.segments.recv_timeout(Duration::from_millis(50)) {
                Ok(file) => return Ok(file),
                Err(RecvTimeoutError::Disconnected) => return Err("the thread that makes segments has ended".into()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(trouble) = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(trouble);
            }
            if asked.elapsed() > PATIENCE {
                return Err(format!("the disk has not made {SEGMENT} bytes in {} s; look at it", PATIENCE.as_secs()));
            }
        }
    }
}

/// One sentence for the operator.
pub(crate) fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full; make room on it and start again, nothing acknowledged is lost".into(),
        _ => error.to_string(),
    }
}
