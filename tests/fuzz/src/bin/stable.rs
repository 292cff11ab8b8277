//! Runs every target for a while on stable Rust, without coverage, a sanitizer or libFuzzer. It mutates the seeds blindly. For every
//! change that is enough to find again what libFuzzer found before.
//!
//! `--seconds 20` is the time for each target, `--jobs 2` the number of targets at a time. `--target NAME` runs one target, `--seed N`
//! gives the same inputs again, and `--replay FILE --target NAME` runs one input.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to its terminal")]

use std::collections::BTreeSet;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, process, thread};

use hs_oauth_fuzz::{TARGETS, Target};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const MAX_TIME: Duration = Duration::from_secs(5);
const MAX_INPUT: usize = 4096;
const USAGE: &str = "usage: stable [--seconds N] [--jobs N] [--seed N] [--target NAME] [--replay FILE]";

struct Options {
    seconds: u64,
    jobs: usize,
    seed: u64,
    targets: Vec<Target>,
    replay: Option<PathBuf>,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn options() -> Outcome<Options> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut options = Options {
        seconds: 20,
        jobs: 2,
        seed: clock.as_secs() << 20 | u64::from(clock.subsec_micros()),
        targets: TARGETS.into(),
        replay: None,
    };
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        match name.as_str() {
            "--seconds" => options.seconds = value.parse()?,
            "--jobs" => options.jobs = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            "--replay" => options.replay = Some(value.into()),
            "--target" => {
                options.targets.retain(|target| target.0 == value);
                if options.targets.is_empty() {
                    return Err(format!("there is no target {value}").into());
                }
            }
            _ => return Err(USAGE.into()),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Outcome<bool> {
    if let Some(file) = &options.replay {
        let [(name, check)] = options.targets.as_slice() else {
            return Err("--replay needs --target".into());
        };
        let input = fs::read(file)?;
        let begun = Instant::now();
        check(&input);
        println!("{name}: {} holds, in {:?}", file.display(), begun.elapsed());
        return Ok(begun.elapsed() < MAX_TIME);
    }
    println!("seed {}; the same inputs again: --seed {0}", options.seed);
    let waiting = Mutex::new(options.targets.iter().rev().copied().collect::<Vec<_>>());
    let good = AtomicBool::new(true);
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while let Some(target) = next(&waiting) {
                    let held = fuzz(target, options).unwrap_or_else(|error| {
                        eprintln!("{}: {error}", target.0);
                        false
                    });
                    good.fetch_and(held, Ordering::Relaxed);
                }
            });
        }
    });
    Ok(good.into_inner())
}

fn next(waiting: &Mutex<Vec<Target>>) -> Option<Target> {
    waiting.lock().ok()?.pop()
}

/// Runs one target for its time. Returns whether every property held.
fn fuzz((name, check): Target, options: &Options) -> Outcome<bool> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mutator = Mutator {
        seeds: seeds(&folder.join("seeds").join(name))?,
        words: words(&folder.join("dictionaries").join(format!("{name}.dict")))?,
    };
    let current = Mutex::new(Vec::with_capacity(MAX_INPUT));
    let count = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| watch(name, &current, &count, &done));
        let held = work((name, check), options, &mutator, &current, &count);
        done.store(true, Ordering::Relaxed);
        held
    })
}

fn work(
    (name, check): Target,
    options: &Options,
    mutator: &Mutator,
    current: &Mutex<Vec<u8>>,
    count: &AtomicU64,
) -> Outcome<bool> {
    let mut random = Random::new(options.seed, name);
    let begun = Instant::now();
    let mut executions = 0;
    let mut seeds = mutator.seeds.iter();
    // The clock is read once in 64 inputs, since reading it takes as long as a small input.
    while executions % 64 != 0 || begun.elapsed().as_secs() < options.seconds {
        let input = seeds.next().cloned().unwrap_or_else(|| mutator.input(&mut random));
        if let Ok(mut current) = current.lock() {
            current.clone_from(&input);
        }
        executions += 1;
        count.store(executions, Ordering::Relaxed);
        if catch_unwind(AssertUnwindSafe(|| check(&input))).is_err() {
            report(name, "fails", &input)?;
            println!("{name}: failed on input {executions}, after {:.1} s", begun.elapsed().as_secs_f64());
            return Ok(false);
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{name}: {executions} executions, {seconds:.1} s, {:.0} executions/s, {} distinct seeds",
        executions as f64 / seconds,
        mutator.seeds.len()
    );
    Ok(true)
}

/// Ends the program if one input takes too long. Nothing else can stop a check.
fn watch(name: &str, current: &Mutex<Vec<u8>>, count: &AtomicU64, done: &AtomicBool) {
    let mut last = (0, Instant::now());
    while !done.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(100));
        let executions = count.load(Ordering::Relaxed);
        if executions != last.0 {
            last = (executions, Instant::now());
        } else if last.1.elapsed() > MAX_TIME {
            let input = current.lock().map(|input| input.clone()).unwrap_or_default();
            if let Err(error) = report(name, "hangs", &input) {
                eprintln!("{error}");
            }
            process::exit(1);
        }
    }
}

fn report(name: &str, what: &str, input: &[u8]) -> Outcome<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(name);
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("stable-{:016x}", hash(input)));
    fs::write(&file, input)?;
    eprintln!("{name} {what} on {}; again: --target {name} --replay {0}", file.display());
    Ok(())
}

/// Returns the distinct seeds, in an order that does not depend on the disk.
fn seeds(folder: &Path) -> Outcome<Vec<Vec<u8>>> {
    let mut seeds = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        seeds.insert(fs::read(entry?.path())?);
    }
    match seeds.is_empty() {
        true => Err(format!("no seeds in {}", folder.display()).into()),
        false => Ok(seeds.into_iter().collect()),
    }
}

/// Returns the words of a dictionary in libFuzzer's format: one on a line, in quotes, which a name and `=` may precede.
fn words(file: &Path) -> Outcome<Vec<Vec<u8>>> {
    let text = fs::read_to_string(file)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| word(line).ok_or_else(|| format!("{}: {line}", file.display()).into())).collect()
}

fn word(line: &str) -> Option<Vec<u8>> {
    let (_, quoted) = line.split_once('"')?;
    let mut rest = quoted.strip_suffix('"')?.as_bytes();
    let mut word = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            word.push(*first);
            continue;
        }
        let (escape, after) = rest.split_first()?;
        rest = after;
        match escape {
            b'x' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                word.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            }
            plain => word.push(*plain),
        }
    }
    Some(word)
}

struct Mutator {
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

/// Bytes that have a meaning in many formats, or that are no valid text.
const BYTES: &[u8] = b"\0\t\n\r \"%&'+,-.0129:;<=>?[\\]{|}~\x7f\x80\xbf\xc3\xe2\xed\xf0\xff";
const NUMBERS: [&str; 10] = [
    "-1",
    "0",
    "1e999",
    "1.5",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "null",
    "true",
];

impl Mutator {
    fn input(&self, random: &mut Random) -> Vec<u8> {
        let mut input = random.of(&self.seeds).cloned().unwrap_or_default();
        for _ in 0..1 << random.below(4) {
            self.mutate(&mut input, random);
        }
        input.truncate(MAX_INPUT);
        input
    }

    fn mutate(&self, input: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(input.len() + 1);
        let end = (at + 1 + random.below(16)).min(input.len());
        match random.below(9) {
            0 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
            1 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.byte()),
            2 => replace(input, at, at, &[*random.of(BYTES).unwrap_or(&0)]),
            3 => replace(input, at, end, b""),
            4 => {
                let again: Vec<u8> = input.iter().skip(at).take(end - at).copied().collect();
                let times = 1 << random.below(6);
                replace(input, at, at, &again.repeat(times));
            }
            5 => replace(input, at, at, random.of(&self.words).map_or(b"", Vec::as_slice)),
            6 => replace(input, at, end, random.of(&self.words).map_or(b"", Vec::as_slice)),
            7 => replace(input, at, end, random.of(&NUMBERS).map_or("", |number| number).as_bytes()),
            _ => {
                // The rest of another seed, from anywhere in it.
                let other = random.of(&self.seeds).map_or(&b""[..], Vec::as_slice);
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend(other.iter().skip(from));
            }
        }
    }
}

fn replace(input: &mut Vec<u8>, at: usize, end: usize, with: &[u8]) {
    input.splice(at..end.max(at), with.iter().copied());
}

/// SplitMix64: the same seed gives the same numbers on every machine.
struct Random(u64);

impl Random {
    fn new(seed: u64, name: &str) -> Self {
        Self(seed ^ hash(name.as_bytes()))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// Returns a number from 0 up to, but not including, `end`.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or_default()
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }
}

/// The 64-bit FNV-1a hash.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
