//! The files of the folders, read by several threads.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use crate::failure::Failure;
use crate::progress::Progress;
use crate::scan::file::search;
use crate::scan::finding::{Finding, Scanned};
use crate::scan::ignored::Ignored;
use crate::scan::pattern::Patterns;

/// Which files are read.
#[derive(Debug)]
pub(crate) struct Options<'a> {
    /// The folders and files. There is at least one.
    pub(crate) roots: &'a [PathBuf],
    /// Patterns of files that are left out, as in a `.gitignore` of each folder that is named.
    pub(crate) exclude: &'a [String],
    /// Whether the files that `.gitignore` and `.ignore` name are read, too.
    pub(crate) no_ignore: bool,
}

/// Searches all files. What cannot be read is listed in the result.
///
/// Hidden files are searched, since much of a configuration is hidden. The folder `.git` and binary files are not.
pub(crate) fn scan(options: &Options<'_>) -> Result<Scanned, Failure> {
    let mut tasks = Vec::new();
    for root in options.roots {
        // What is named on the command line may be a link, and is read whatever `.gitignore` says. Elsewhere, links are not followed.
        let metadata = root
            .metadata()
            .map_err(|error| Failure::usage(format!("could not read {}: {error}", root.display())))?;
        if metadata.is_dir() {
            let ignored = Ignored::above(root, options.exclude, !options.no_ignore);
            tasks.push(Task::Folder(root.clone(), ignored));
        } else if metadata.is_file() {
            tasks.push(Task::Files(vec![root.clone()]));
        }
    }
    let patterns = Patterns::new().map_err(|error| Failure::Other(error.to_string()))?;
    let walk = Walk {
        patterns,
        no_ignore: options.no_ignore,
        progress: Progress::spinner("files scanned"),
        files: AtomicU64::new(0),
        lines: AtomicU64::new(0),
        queue: Queue::new(tasks),
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (walk, sender) = (&walk, sender.clone());
            scope.spawn(move || walk.run(&sender));
        }
    });
    drop(sender);
    walk.progress.finish();
    let mut scanned =
        Scanned { files: walk.files.into_inner(), lines: walk.lines.into_inner(), ..Scanned::default() };
    for result in receiver {
        match result {
            Ok(findings) => scanned.findings.extend(findings),
            Err(error) => scanned.unreadable.push(error),
        }
    }
    scanned
        .findings
        .sort_by(|a, b| (&a.path, a.line, a.column, a.rule).cmp(&(&b.path, b.line, b.column, b.rule)));
    scanned.unreadable.sort();
    Ok(scanned)
}

/// What a thread does next.
enum Task {
    /// Lists a folder, below which this is left out.
    Folder(PathBuf, Arc<Ignored>),
    /// Searches some files.
    Files(Vec<PathBuf>),
}

/// The findings of a file, or what could not be read and why.
type Searched = Result<Vec<Finding>, (PathBuf, String)>;

/// What all threads work with.
struct Walk {
    patterns: Patterns,
    no_ignore: bool,
    progress: Progress,
    files: AtomicU64,
    lines: AtomicU64,
    queue: Queue,
}

impl Walk {
    fn run(&self, sender: &Sender<Searched>) {
        let mut buffer = Vec::new();
        // The receiver lives until all threads have ended.
        let send = |searched| drop(sender.send(searched));
        while let Some(task) = self.queue.next() {
            match task {
                Task::Folder(path, ignored) => {
                    if let Err(error) = self.list(&path, ignored) {
                        send(Err((path, error.to_string())));
                    }
                }
                Task::Files(paths) => {
                    for path in paths {
                        match self.search(&path, &mut buffer) {
                            Ok(findings) if findings.is_empty() => {}
                            Ok(findings) => send(Ok(findings)),
                            Err(error) => send(Err((path, error.to_string()))),
                        }
                    }
                }
            }
            self.queue.done();
        }
    }

    /// Adds what is in a folder to the tasks.
    fn list(&self, folder: &Path, above: Arc<Ignored>) -> io::Result<()> {
        let ignored = if self.no_ignore { above } else { above.below(folder) };
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() && entry.file_name() != ".git" && !ignored.matches(&path, true) {
                self.queue.add(Task::Folder(path, Arc::clone(&ignored)));
            } else if kind.is_file() && !ignored.matches(&path, false) {
                files.push(path);
                if files.len() == MAX_FILES {
                    self.queue.add(Task::Files(std::mem::take(&mut files)));
                }
            }
        }
        self.queue.add(Task::Files(files));
        Ok(())
    }

    fn search(&self, path: &Path, buffer: &mut Vec<u8>) -> io::Result<Vec<Finding>> {
        let shown = path.strip_prefix(".").unwrap_or(path);
        let found = search(&self.patterns, shown, File::open(path)?, buffer)?;
        if !found.is_binary {
            self.files.fetch_add(1, Ordering::Relaxed);
            self.lines.fetch_add(found.lines, Ordering::Relaxed);
            self.progress.advance();
        }
        Ok(found.findings)
    }
}

/// The tasks that are left. It ends when none is left and none is under way.
struct Queue {
    state: Mutex<Tasks>,
    changed: Condvar,
}

struct Tasks {
    left: Vec<Task>,
    under_way: usize,
}

impl Queue {
    fn new(left: Vec<Task>) -> Self {
        Self { state: Mutex::new(Tasks { left, under_way: 0 }), changed: Condvar::new() }
    }

    /// Waits for a task, and returns `None` when there will be no more.
    fn next(&self) -> Option<Task> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(task) = state.left.pop() {
                state.under_way += 1;
                return Some(task);
            }
            if state.under_way == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn add(&self, task: Task) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).left.push(task);
        self.changed.notify_one();
    }

    /// Says that a task is done.
    fn done(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.under_way -= 1;
        if state.under_way == 0 {
            self.changed.notify_all();
        }
    }
}

/// The most files of a task.
const MAX_FILES: usize = 64;
