//! Processes, callers, a store and HubSpot under one virtual clock; who acts next is drawn from the seed.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::fmt::Write as _;

use hs_oauth_core::renewal::Deadline;
use hs_oauth_core::renewal::{
    CurrentTokens, Decision, Demand, Disconnect, GrantId, GrantState, HolderId, Input, Install, Record,
    RenewalPolicy, Run, Step, Stored, Timing, TokenError,
};
use hs_oauth_core::{
    Endpoint, Error, NextStep, Random, Refresh, Revoke, StoreError, StoreErrorKind, TokenSet, TransportError,
    TransportErrorKind,
};
use hs_oauth_emulator::Rotation;
use http::Response;

use super::faults::Faults;
use super::hubspot::{HUB, HubSpot, at};
use super::machine::Machine;
use super::rules::{Rules, Window, refresh_token};

pub(super) struct World<M: Machine> {
    now: u64,
    random: Random,
    faults: Faults,
    calm_from: u64,
    policy: RenewalPolicy,
    timing: Timing,
    hubspot: HubSpot,
    stored: Option<Stored>,
    version: u64,
    processes: Vec<Process<M>>,
    runs: BTreeMap<usize, Running<M>>,
    runs_begun: usize,
    events: BinaryHeap<Reverse<Entry>>,
    events_made: u64,
    pub(super) rules: Rules,
    /// When the app was last uninstalled, and when each grant's code was exchanged.
    uninstalled: Option<u64>,
    connected: HashMap<GrantId, u64>,
    read_only_until: u64,
    revoked: HashSet<String>,
    pub(super) lost_in: Option<Window>,
    pub(super) requests: u64,
    names: HashMap<String, String>,
    pub(super) trace: Option<String>,
}

struct Process<M: Machine> {
    up: bool,
    /// What its clock shows more than the true time, in milliseconds.
    offset: i64,
    skew: i64,
    cached: Option<TokenSet>,
    /// No renewal ahead of time before this moment.
    pause_until: u64,
    flight: Option<usize>,
    waiters: Vec<Waiter>,
    unsaved: Option<Kept<M::Unsaved>>,
}

/// Tokens that a run of the process could not save.
struct Kept<U> {
    unsaved: U,
    token: Option<String>,
    holder: Option<HolderId>,
    grant: Option<GrantId>,
}

struct Waiter {
    task: usize,
    rejected: Option<TokenSet>,
    since: u64,
    last: bool,
}

struct Running<M> {
    process: usize,
    kind: Kind<M>,
    turn: u32,
    sends: u32,
    holder: Option<HolderId>,
    grant: Option<GrantId>,
    until: u64,
    /// The new refresh token that HubSpot has given it.
    acted: Option<String>,
    connected_at: u64,
    /// The grant that it found at first, if it has looked.
    found: Option<Option<GrantId>>,
    /// Whether it was told that nothing is to begin any more.
    shut: bool,
}

enum Kind<M> {
    Renewal(M),
    Install(Install),
    Disconnect(Disconnect),
}

#[expect(clippy::large_enum_variant, reason = "few are there at once")]
enum Event {
    Ask { process: usize, task: usize, last: bool },
    Leave { process: usize, task: usize },
    Perform { run: usize, turn: u32, action: Action },
    Load { run: usize, turn: u32 },
    Swap { run: usize, turn: u32, by: Writer, expected: Option<u64>, record: Box<Record>, reply: Reply },
    Arrive { run: usize, turn: u32, sent_at: u64, refresh: Refresh, fate: Fate, grant: Option<GrantId> },
    Revoked { run: usize, turn: u32, revoke: Revoke },
    Deliver { run: usize, turn: u32, what: What },
    Resave { process: usize },
    Crash { process: usize },
    Restart { process: usize },
    Jump { process: usize, by: i64 },
    Calm,
    ReadOnly,
    Operator(u64),
}

#[derive(Clone)]
enum Action {
    Load,
    Swap(Option<u64>, Box<Record>),
    Send(Refresh),
    Revoke(Revoke),
}

#[derive(Clone, Copy)]
struct Writer {
    clock: u64,
    holder: Option<HolderId>,
    renewal: bool,
    connected_at: u64,
    found: Option<Option<GrantId>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Reply {
    Honest,
    /// The write takes effect, if it can, and the answer is an error.
    Lost,
    /// The same, and the process has had its answer already.
    Late,
}

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Answered,
    Lost,
    Cut,
    Twice,
    Refused { status: u16, acts: bool, retry_after: Option<u64> },
}

#[expect(clippy::large_enum_variant, reason = "one is there at a time")]
enum What {
    Input(Input),
    Answer(Refresh, Response<Vec<u8>>),
}

struct Entry {
    at: u64,
    order: u64,
    /// Boxed, since the heap moves its entries about.
    event: Box<Event>,
}

const SECOND: u64 = 1000;
const UNAVAILABLE: StoreError = StoreError::new(StoreErrorKind::Unavailable);

impl<M: Machine> World<M> {
    pub(super) fn new(seed: u64, traced: bool) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8] = 1;
        let mut random = Random::new(bytes);
        (0..8).for_each(|_| _ = random.next_u64());

        let rotation = [Rotation::Keep, Rotation::Rotate, Rotation::Strict][random.up_to(2) as usize];
        let life = [600, 1800][random.up_to(1) as usize];
        let policy = policy(&mut random);
        let mut hubspot = HubSpot::new(rotation, life);
        let start = 1_000_000 * SECOND;
        let tokens = hubspot.connect(start);
        let timing = policy.timing(&tokens);
        let margin = millis(timing.clock_margin);
        let faults = Faults::draw(&mut random, margin);
        let span = u64::from(life) * 2 * SECOND;
        let mut world = Self {
            now: start,
            calm_from: start + span,
            timing,
            policy,
            hubspot,
            stored: None,
            version: random.up_to(100),
            processes: Vec::new(),
            runs: BTreeMap::new(),
            runs_begun: 0,
            events: BinaryHeap::new(),
            events_made: 0,
            rules: Rules::new(rotation, margin, millis(timing.safety)),
            uninstalled: None,
            connected: HashMap::new(),
            read_only_until: 0,
            revoked: HashSet::new(),
            lost_in: None,
            requests: 0,
            names: HashMap::new(),
            trace: traced.then(String::new),
            random,
            faults,
        };
        world
            .log(|world| format!("{rotation:?}, tokens of {life} s, {:?}, {:?}", world.timing, world.faults));
        world.people(start, span, tokens);
        world
    }

    fn people(&mut self, start: u64, span: u64, tokens: TokenSet) {
        let grant = GrantId::generate(&mut self.random);
        self.version += 1;
        let record = Record::new(grant, tokens);
        self.rules.operator_writes(start, None, None, &record);
        self.connected.insert(grant, start);
        self.stored = Some(Stored { version: self.version, record });

        for process in 0..=self.random.up_to(2) as usize {
            let skew = self.faults.skew as i64 * [0, 1, -1][process] / 2;
            let offset = skew;
            let (cached, flight, unsaved) = (None, None, None);
            let (up, waiters, pause_until) = (true, Vec::new(), 0);
            self.processes.push(Process { up, offset, skew, cached, pause_until, flight, waiters, unsaved });
            for task in 0..=self.random.up_to(2) as usize {
                let first = self.random.up_to(span / 2);
                self.schedule(first, Event::Ask { process, task, last: false });
            }
            if self.random.up_to(999) < self.faults.jump {
                let when = self.random.up_to(span);
                let by = self.random.up_to(2400 * SECOND) as i64 - 1200 * SECOND as i64;
                self.schedule(when, Event::Jump { process, by });
            }
        }
        for _ in 0..self.faults.operators {
            let (when, what) = (self.random.up_to(span), self.random.up_to(3));
            self.schedule(when, Event::Operator(what));
        }
        for _ in 0..self.faults.store_is_read_only {
            let when = self.random.up_to(span);
            self.schedule(when, Event::ReadOnly);
        }
        self.schedule(span, Event::Calm);
    }

    /// Runs to the end. What was broken, if anything, is in `rules.broken`.
    pub(super) fn run(&mut self) {
        let mut steps = 0_u32;
        while let Some(Reverse(Entry { at, event, .. })) = self.events.pop() {
            self.now = self.now.max(at);
            self.happen(*event);
            steps += 1;
            if steps == 200_000 {
                self.broken("the schedule does not end");
            }
            if self.rules.broken.is_some() {
                return;
            }
        }
        if self.processes.iter().any(|process| !process.waiters.is_empty()) {
            self.broken("a caller was never answered");
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask { process, task, last } => self.ask(process, task, last),
            Event::Leave { process, task } => {
                let waiters = &mut self.processes[process].waiters;
                if let Some(at) = waiters.iter().position(|waiter| waiter.task == task && !waiter.last) {
                    waiters.remove(at);
                    self.ask_later(process, task);
                }
            }
            Event::Perform { run, turn, action } => {
                if self.runs.get(&run).is_some_and(|running| running.turn == turn) {
                    self.perform(run, action, true);
                }
            }
            Event::Load { run, turn } => {
                let stored = self.stored.clone();
                self.deliver(run, turn, What::Input(Input::Loaded(stored)));
            }
            Event::Swap { run, turn, by, expected, record, reply } => {
                let input = self.swap(run, by, expected, *record);
                match reply {
                    Reply::Honest => self.deliver(run, turn, What::Input(input)),
                    Reply::Lost => self.deliver(run, turn, What::Input(Input::StoreFailed(UNAVAILABLE))),
                    Reply::Late => {}
                }
            }
            Event::Arrive { run, turn, sent_at, refresh, fate, grant } => {
                self.arrive(run, turn, sent_at, refresh, fate, grant);
            }
            Event::Revoked { run, turn, revoke } => {
                let response = self.hubspot.handle(self.now, &revoke);
                let answer = revoke.read_response(&self.hubspot.app, at(self.now), &response);
                self.revoked.insert(revoke.refresh_token().expose().to_owned());
                self.deliver(run, turn, What::Input(Input::Revoked(answer)));
            }
            Event::Deliver { run, turn, what } => self.resume(run, turn, what),
            Event::Resave { process } => {
                if self.processes[process].up && self.processes[process].unsaved.is_some() {
                    self.fly(process, Demand::Usable);
                }
            }
            Event::Crash { process } => self.crash(process),
            Event::Restart { process } => {
                self.processes[process].up = true;
                self.log(|_| format!("P{process} starts again"));
            }
            Event::Jump { process, by } => {
                self.log(|_| format!("P{process}'s clock is set by {by} ms"));
                self.processes[process].offset += by;
                self.rules.opens(Window::Clock);
            }
            Event::Calm => self.calm(),
            Event::ReadOnly => {
                self.read_only_until = self.now + self.random.up_to(300 * SECOND);
                self.log(|world| format!("the store takes no writes until {}", world.read_only_until));
            }
            Event::Operator(what) => self.operate(what),
        }
    }

    // The callers of a process.

    fn ask(&mut self, process: usize, task: usize, last: bool) {
        let clock = self.clock(process);
        if !self.processes[process].up {
            return self.ask_later(process, task);
        }
        let cached = self.processes[process].cached.clone();
        if let Some(tokens) = &cached
            && self.policy.decide(at(clock), tokens) != Decision::RenewNow
        {
            self.hand_out(process, tokens);
            if !last && self.happens(self.faults.rejected) {
                return self.wait(process, Waiter { task, rejected: cached, since: self.now, last });
            }
            let soon = self.policy.decide(at(clock), tokens) == Decision::RenewSoon;
            if soon
                && self.processes[process].flight.is_none()
                && clock >= self.processes[process].pause_until
            {
                self.fly(process, Demand::Usable);
            }
            return self.ask_later(process, task);
        }
        self.wait(process, Waiter { task, rejected: None, since: self.now, last });
    }

    fn wait(&mut self, process: usize, waiter: Waiter) {
        if self.happens(self.faults.leave) {
            let after = self.random.up_to(10 * SECOND);
            self.schedule(after, Event::Leave { process, task: waiter.task });
        }
        let demand = match &waiter.rejected {
            None => Demand::Usable,
            Some(tokens) => Demand::OtherThan(tokens.access_token.clone()),
        };
        self.processes[process].waiters.push(waiter);
        if self.processes[process].flight.is_none() {
            self.fly(process, demand);
        }
    }

    fn ask_later(&mut self, process: usize, task: usize) {
        if self.now >= self.calm_from {
            return;
        }
        let most = match self.random.up_to(9) {
            0..=4 => 2 * SECOND,
            5..=7 => 60 * SECOND,
            _ => 600 * SECOND,
        };
        let after = 1 + self.random.up_to(most);
        self.schedule(after, Event::Ask { process, task, last: false });
    }

    fn hand_out(&mut self, process: usize, tokens: &TokenSet) {
        self.log(|world| format!("P{process} hands out {}", world.name(tokens.access_token.expose())));
        let end = self.hubspot.end_of(tokens);
        self.rules.hands_out(self.now, tokens, end);
    }

    fn fly(&mut self, process: usize, demand: Demand) {
        if self.processes[process].flight.is_some() {
            return;
        }
        let kept = self.processes[process].unsaved.take();
        let (token, holder, grant) =
            kept.as_ref().map_or((None, None, None), |kept| (kept.token.clone(), kept.holder, kept.grant));
        let machine = M::begin(self.policy, self.fork(), demand, kept.map(|kept| kept.unsaved));
        let run = self.begin(process, Kind::Renewal(machine), 0);
        if let Some(running) = self.runs.get_mut(&run) {
            (running.acted, running.holder, running.grant) = (token, holder, grant);
        }
        self.processes[process].flight = Some(run);
        self.log(|_| format!("P{process} begins run {run}"));
        self.start(run);
    }

    fn landed(&mut self, run: usize, result: Result<CurrentTokens, TokenError>) {
        let Some(Running { process, kind: Kind::Renewal(machine), acted, holder, grant, shut, .. }) =
            self.runs.remove(&run)
        else {
            return;
        };
        let clock = self.clock(process);
        self.log(|world| format!("P{process} ends run {run}: {}", world.describe_result(&result)));
        if matches!(result, Err(TokenError::ShutDown)) && !shut {
            self.broken("a shutdown was said that was none");
        }
        let kept = machine.unsaved().map(|unsaved| Kept { unsaved, token: acted, holder, grant });
        self.processes[process].unsaved = kept;
        self.processes[process].flight = None;
        if self.processes[process].unsaved.is_some() {
            let after = SECOND + self.random.up_to(30 * SECOND);
            self.schedule(after, Event::Resave { process });
        }
        let own = self.processes[process].cached.clone();
        let tokens = match &result {
            Ok(held) => {
                if !held.renewed {
                    self.processes[process].pause_until = clock + 3 * SECOND;
                }
                self.processes[process].cached = Some(held.tokens.clone());
                Some(held.tokens.clone())
            }
            Err(TokenError::Gone { .. } | TokenError::NotInstalled) => {
                self.processes[process].cached = None;
                None
            }
            Err(_) => {
                self.processes[process].pause_until = clock + 3 * SECOND;
                own.filter(|tokens| self.policy.decide(at(clock), tokens) != Decision::RenewNow)
            }
        };
        let mut again = None;
        for waiter in std::mem::take(&mut self.processes[process].waiters) {
            let rejected = |tokens: &TokenSet| {
                waiter.rejected.as_ref().is_some_and(|rejected| rejected.access_token == tokens.access_token)
            };
            match &tokens {
                Some(tokens) if rejected(tokens) && result.is_ok() => {
                    again = Some(Demand::OtherThan(tokens.access_token.clone()));
                    self.processes[process].waiters.push(waiter);
                    continue;
                }
                Some(tokens) if !rejected(tokens) => self.hand_out(process, tokens),
                _ if waiter.last => self.last_answer(&result),
                _ => {}
            }
            self.answered(&waiter);
            self.ask_later(process, waiter.task);
        }
        if let Some(demand) = again {
            self.fly(process, demand);
        }
    }

    /// After the faults have stopped nobody waits longer than for two dead holders and a request.
    fn answered(&mut self, waiter: &Waiter) {
        let bound = millis(
            (self.timing.lease + self.timing.clock_margin) * 2 + self.timing.request + self.timing.save,
        ) + 30 * SECOND;
        let since = waiter.since.max(self.calm_from + 300 * SECOND);
        if self.now > since + bound {
            self.broken(&format!("a caller waited {} ms", self.now - since));
        }
    }

    // The world at rest.

    fn calm(&mut self) {
        self.log(|_| "from here on nothing fails".to_owned());
        let skew = std::mem::take(&mut self.faults).skew;
        self.faults.skew = skew;
        let life = self
            .stored
            .as_ref()
            .and_then(|stored| stored.record.tokens.as_ref())
            .map_or(600, |tokens| tokens.expires_in);
        for process in 0..self.processes.len() {
            self.processes[process].offset = self.processes[process].skew;
            if !self.processes[process].up {
                self.schedule(SECOND, Event::Restart { process });
            }
            // The longest back-off, and what a clock that was set could have added to it.
            for after in [1500 + 2400, 1500 + 2400 + life] {
                self.schedule(after * SECOND, Event::Ask { process, task: 99, last: true });
            }
        }
    }

    /// Everything has had time to settle: an account that ought to be good must give a token.
    fn last_answer(&mut self, result: &Result<CurrentTokens, TokenError>) {
        let Some(stored) = self.stored.clone() else { return };
        let born = self.connected.get(&stored.record.grant).copied();
        let uninstalled = self.uninstalled.is_some_and(|when| born.is_none_or(|born| born <= when));
        let revoked = stored
            .record
            .tokens
            .as_ref()
            .and_then(refresh_token)
            .is_some_and(|token| self.revoked.contains(&token));
        let ought_to_be_good = stored.record.state != GrantState::Disconnected && !uninstalled && !revoked;
        match result {
            _ if !ought_to_be_good || self.lost_in.is_some() => {}
            Err(TokenError::Gone { unsettled, .. }) => self.lost_in = self.rules.loses(*unsettled),
            Err(error) => {
                self.broken(&format!("after everything has settled there is no token but {error:?}"))
            }
            Ok(_) => {}
        }
    }

    fn operate(&mut self, what: u64) {
        let Some(process) = self.processes.iter().position(|process| process.up) else { return };
        match what {
            0 => {
                self.log(|_| "the customer uninstalls".to_owned());
                self.hubspot.emulator.uninstall(HUB);
                self.uninstalled = Some(self.now);
            }
            1 => {
                let random = self.fork();
                let run = self.begin(process, Kind::Disconnect(Disconnect::new(random)), 0);
                self.log(|_| format!("P{process} disconnects in run {run}"));
                self.start(run);
            }
            _ => {
                let kept = self.stored.as_ref().and_then(|stored| stored.record.tokens.clone());
                // The same tokens once more, as an import that is run twice has it.
                let (tokens, connected_at) = match kept {
                    Some(tokens)
                        if what == 3 && self.hubspot.emulator.settings().rotation == Rotation::Keep =>
                    {
                        let grant = self.stored.as_ref().map(|stored| stored.record.grant);
                        (tokens, grant.and_then(|grant| self.connected.get(&grant).copied()).unwrap_or(0))
                    }
                    _ => (self.hubspot.connect(self.now), self.now),
                };
                let random = self.fork();
                let run = self.begin(process, Kind::Install(Install::new(random, tokens)), connected_at);
                self.log(|_| format!("P{process} installs in run {run}"));
                self.start(run);
            }
        }
    }

    fn crash(&mut self, process: usize) {
        if !self.processes[process].up || self.now >= self.calm_from {
            return;
        }
        self.log(|_| format!("P{process} dies"));
        let mut held: Vec<String> = Vec::new();
        held.extend(self.processes[process].unsaved.take().and_then(|kept| kept.token));
        let gone: Vec<usize> =
            self.runs.iter().filter(|(_, running)| running.process == process).map(|(run, _)| *run).collect();
        for run in gone {
            held.extend(self.runs.remove(&run).and_then(|running| running.acted));
            self.rules.no_longer_sends(run);
        }
        if held.iter().any(|token| self.rules.is_only_copy(token)) {
            self.rules.opens(Window::W1);
        }
        let dead = &mut self.processes[process];
        (dead.up, dead.cached, dead.flight, dead.pause_until) = (false, None, None, 0);
        for waiter in std::mem::take(&mut dead.waiters) {
            self.ask_later(process, waiter.task);
        }
        let after = 1 + self.random.up_to(120 * SECOND);
        self.schedule(after, Event::Restart { process });
    }

    // A run: what it wants is done after a while, and what came of it reaches it after another.

    fn begin(&mut self, process: usize, kind: Kind<M>, connected_at: u64) -> usize {
        self.runs_begun += 1;
        let run = self.runs_begun;
        let (turn, sends, until) = (0, 0, 0);
        let (holder, grant, acted, found, shut) = (None, None, None, None, false);
        self.runs.insert(
            run,
            Running { process, kind, turn, sends, holder, grant, until, acted, connected_at, found, shut },
        );
        run
    }

    fn start(&mut self, run: usize) {
        let Some(mut running) = self.runs.remove(&run) else { return };
        let clock = at(self.clock(running.process));
        let next = match &mut running.kind {
            Kind::Renewal(machine) => Next::from(machine.start(clock)).renewal(),
            Kind::Install(install) => Next::from(install.start(clock)).ended(),
            Kind::Disconnect(disconnect) => Next::from(disconnect.start(clock)).ended(),
        };
        self.runs.insert(run, running);
        self.go_on(run, next);
    }

    fn resume(&mut self, run: usize, turn: u32, what: What) {
        let Some(mut running) = self.runs.remove(&run) else { return };
        if running.turn != turn {
            self.runs.insert(run, running);
            return;
        }
        running.turn += 1;
        self.rules.no_longer_sends(run);
        let clock = at(self.clock(running.process));
        let input = match what {
            What::Input(input) => input,
            // As the worst transport would: the life of the token counted from reading the answer.
            What::Answer(refresh, response) => {
                Input::Refreshed(refresh.read_response(&self.hubspot.app, clock, &response))
            }
        };
        self.log(|world| format!("run {run} hears: {}", world.describe_input(&input)));
        if let Input::Loaded(stored) = &input {
            running.found.get_or_insert(stored.as_ref().map(|stored| stored.record.grant));
        }
        running.shut |= matches!(input, Input::ShuttingDown);
        let next = match &mut running.kind {
            Kind::Renewal(machine) => Next::from(machine.resume(clock, input)).renewal(),
            Kind::Install(install) => Next::from(install.resume(clock, input)).ended(),
            Kind::Disconnect(disconnect) => Next::from(disconnect.resume(clock, input)).ended(),
        };
        self.runs.insert(run, running);
        self.go_on(run, next);
    }

    fn go_on(&mut self, run: usize, next: Next<CurrentTokens>) {
        let Some(running) = self.runs.get(&run) else { return };
        let (process, turn) = (running.process, running.turn);
        match next {
            Next::Done(result) => self.landed(run, result),
            Next::Ended => _ = self.runs.remove(&run),
            Next::Sleep(milliseconds) => {
                let late = self.random.up_to(20);
                self.schedule(
                    milliseconds + late,
                    Event::Deliver { run, turn, what: What::Input(Input::Slept) },
                );
            }
            Next::Admit(deadline) => {
                let waited = self.happens(self.faults.crowded);
                let wait = if waited { self.random.up_to(300 * SECOND) } else { 0 };
                let is_usable = matches!(deadline, Deadline::At(moment) if at(self.clock(process)) < moment);
                let (wait, input) = match waited.then(|| self.random.up_to(9)) {
                    Some(0) => (wait, Input::ShuttingDown),
                    // At once, but a process may stand still before it goes on.
                    Some(1..=3) if is_usable => (self.stall(), Input::Skip),
                    _ => (wait, Input::Admit { waited }),
                };
                self.schedule(wait, Event::Deliver { run, turn, what: What::Input(input) });
            }
            Next::Act(action) => {
                if self.happens(self.faults.crash) {
                    let after = [0, self.random.up_to(20_000)][self.random.up_to(1) as usize];
                    self.schedule(after, Event::Crash { process });
                    if after == 0 {
                        return;
                    }
                }
                // A process may stand still between deciding and doing.
                let stall = self.stall();
                match stall {
                    0 => self.perform(run, action, false),
                    _ => self.schedule(stall, Event::Perform { run, turn, action }),
                }
            }
        }
    }

    fn perform(&mut self, run: usize, action: Action, stalled: bool) {
        let Some(running) = self.runs.get(&run) else { return };
        let (process, turn) = (running.process, running.turn);
        let clock = self.clock(process);
        self.log(|world| format!("P{process} run {run}: {}", world.describe_action(&action)));
        match action {
            Action::Load => {
                let after = self.store_latency();
                match self.happens(self.faults.store_refuses) {
                    true => self.fail(run, turn, after),
                    false => self.schedule(after, Event::Load { run, turn }),
                }
            }
            Action::Swap(expected, record) => self.begin_swap(run, turn, clock, expected, record),
            Action::Send(refresh) => self.begin_send(run, turn, clock, refresh, stalled),
            Action::Revoke(revoke) => {
                let after = self.latency();
                self.schedule(after, Event::Revoked { run, turn, revoke });
            }
        }
    }

    fn begin_swap(&mut self, run: usize, turn: u32, clock: u64, expected: Option<u64>, record: Box<Record>) {
        let Some(running) = self.runs.get_mut(&run) else { return };
        let renewal = matches!(running.kind, Kind::Renewal(_));
        if renewal
            && running.sends == 0
            && let Some(lease) = &record.lease
        {
            (running.holder, running.grant) = (Some(lease.holder), Some(record.grant));
            running.until = lease.until.as_millis();
        }
        let Running { holder, connected_at, found, .. } = *running;
        let by = Writer { clock, holder, renewal, connected_at, found };
        let after = self.store_latency();
        let refuses =
            self.happens(self.faults.store_refuses) || self.now < self.read_only_until.min(self.calm_from);
        if refuses {
            return self.fail(run, turn, after);
        }
        if self.happens(self.faults.store_lags) {
            self.fail(run, turn, after);
            let later = after + self.random.up_to(120 * SECOND);
            return self.schedule(later, Event::Swap { run, turn, by, expected, record, reply: Reply::Late });
        }
        let reply = [Reply::Honest, Reply::Lost][usize::from(self.happens(self.faults.store_loses_answers))];
        self.schedule(after, Event::Swap { run, turn, by, expected, record, reply });
    }

    fn fail(&mut self, run: usize, turn: u32, after: u64) {
        self.schedule(
            after,
            Event::Deliver { run, turn, what: What::Input(Input::StoreFailed(UNAVAILABLE)) },
        );
    }

    fn swap(&mut self, run: usize, by: Writer, expected: Option<u64>, record: Record) -> Input {
        if self.stored.as_ref().map(|stored| stored.version) != expected {
            self.log(|_| format!("the store refuses run {run}'s write"));
            return Input::Conflict;
        }
        self.log(|world| format!("the store takes run {run}'s write: {}", world.describe(&record)));
        if let (true, Some(before)) = (by.renewal, self.stored.clone()) {
            let before = before.record;
            let takes = record.lease.is_some() && record.lease != before.lease;
            if takes {
                self.rules.takes(by.clock, &before);
                if before.lease.as_ref().is_some_and(|lease| Some(lease.holder) != by.holder)
                    && self.someone_holds_the_only_copy()
                {
                    self.rules.opens(Window::W3);
                }
            }
            self.rules.renewal_writes(self.now, by.clock, by.holder, &before, &record);
        } else {
            self.connected.entry(record.grant).or_insert(by.connected_at);
            let before = self.stored.as_ref().map(|stored| stored.record.grant);
            self.rules.operator_writes(self.now, by.found.flatten(), before, &record);
        }
        self.version += 1;
        self.stored = Some(Stored { version: self.version, record });
        Input::Stored(self.version)
    }

    fn someone_holds_the_only_copy(&self) -> bool {
        let running = self.runs.values().filter_map(|running| running.acted.as_ref());
        let unsaved = self.processes.iter().filter_map(|process| process.unsaved.as_ref()?.token.as_ref());
        running.chain(unsaved).any(|token| self.rules.is_only_copy(token))
    }

    fn begin_send(&mut self, run: usize, turn: u32, clock: u64, refresh: Refresh, stalled: bool) {
        let Some(running) = self.runs.get_mut(&run) else { return };
        running.sends += 1;
        let (sends, grant) = (running.sends, running.grant);
        let (limit, until) = (millis(self.timing.request), running.until);
        if stalled && clock + limit > until {
            self.rules.opens(Window::W4);
        }
        self.requests += 1;
        self.rules.sends(run, grant, sends);
        if self.happens(self.faults.unreachable) {
            let refused = Input::Refreshed(Err(TransportError::new(TransportErrorKind::Connect).into()));
            return self.schedule(5, Event::Deliver { run, turn, what: What::Input(refused) });
        }
        let timeout = Input::Refreshed(Err(TransportError::new(TransportErrorKind::Timeout).into()));
        self.schedule(limit, Event::Deliver { run, turn, what: What::Input(timeout) });
        if self.happens(self.faults.request_lost) {
            return;
        }
        let after = match self.happens(self.faults.request_late) {
            true => limit + self.random.up_to(120 * SECOND),
            // Up to the last moment at which an answer is still in time.
            false => [self.latency(), self.random.up_to(limit)][usize::from(self.happens(100))],
        };
        let fate = self.fate();
        let event = Event::Arrive { run, turn, sent_at: self.now, refresh, fate, grant };
        self.schedule(after, event);
    }

    fn fate(&mut self) -> Fate {
        if self.happens(self.faults.answer_lost) {
            Fate::Lost
        } else if self.happens(self.faults.answer_cut) {
            Fate::Cut
        } else if self.happens(self.faults.refused) {
            let status = [400, 401, 403, 404, 423, 429, 477, 500, 502, 503][self.random.up_to(9) as usize];
            let acts = status >= 500 && self.random.up_to(1) == 0;
            let retry_after = (status == 429 || status == 477).then(|| self.random.up_to(100));
            Fate::Refused { status, acts, retry_after }
        } else if self.happens(self.faults.request_twice) {
            Fate::Twice
        } else {
            Fate::Answered
        }
    }

    fn arrive(
        &mut self,
        run: usize,
        turn: u32,
        sent_at: u64,
        refresh: Refresh,
        fate: Fate,
        grant: Option<GrantId>,
    ) {
        let limit = millis(self.timing.request);
        let late = self.now > sent_at + limit;
        if late {
            self.rules.opens(Window::W5);
        }
        if let Fate::Refused { status, acts: false, retry_after } = fate {
            return self.deliver(run, turn, What::Answer(refresh, refusal(status, retry_after)));
        }
        let (mut response, acted) = self.act(run, &refresh, grant);
        let back = self.latency();
        let in_time = self.now + back < sent_at + limit;
        let mut arrives = in_time;
        match fate {
            Fate::Answered => {}
            Fate::Lost => arrives = false,
            Fate::Cut => {
                let body = response.body_mut();
                let length = self.random.up_to(body.len() as u64 - 1) as usize;
                body.truncate(length);
                let read = refresh.read_response(&self.hubspot.app, at(self.now), &response);
                arrives = in_time && read.is_err_and(|error| error.rescued_refresh_token().is_some());
            }
            Fate::Refused { status, retry_after, .. } => {
                response = refusal(status, retry_after);
                arrives = false;
            }
            Fate::Twice => {
                // Where refresh tokens are replaced the second is refused, and may end the grant.
                let (second, _) = self.act(run, &refresh, grant);
                self.rules.opens(Window::W5);
                if self.random.up_to(1) == 0 {
                    response = second;
                    arrives = false;
                }
            }
        }
        if acted && !arrives {
            self.rules.opens(Window::W2);
            if let Some(running) = self.runs.get_mut(&run) {
                running.acted = None;
            }
        }
        if fate == Fate::Lost {
            return;
        }
        if in_time {
            self.rules.no_longer_sends(run);
        }
        let stall = self.stall();
        // What has reached the machine in time is there however late the process looks.
        match in_time {
            true if stall > 0 => {
                if let Some(running) = self.runs.get_mut(&run).filter(|running| running.turn == turn) {
                    running.turn += 1;
                    let turn = running.turn;
                    self.schedule(
                        back + stall,
                        Event::Deliver { run, turn, what: What::Answer(refresh, response) },
                    );
                }
            }
            true => self.schedule(back, Event::Deliver { run, turn, what: What::Answer(refresh, response) }),
            false => {}
        }
    }

    /// HubSpot handles the request. With whether it gave new tokens.
    fn act(&mut self, run: usize, refresh: &Refresh, grant: Option<GrantId>) -> (Response<Vec<u8>>, bool) {
        let response = self.hubspot.handle(self.now, refresh);
        let answer = refresh.read_response(&self.hubspot.app, at(self.now), &response);
        self.log(|world| format!("HubSpot answers run {run}: {}", world.describe_answer(&answer)));
        match (&answer, grant) {
            (Ok(tokens), Some(grant)) => {
                self.rules.issued(grant, tokens);
                let token = refresh_token(tokens);
                match self.runs.get_mut(&run) {
                    Some(running) => running.acted = token,
                    None if token.is_some_and(|token| self.rules.is_only_copy(&token)) => {
                        self.rules.opens(Window::W1);
                    }
                    None => {}
                }
            }
            (Err(error), Some(grant)) if error.next_step() == NextStep::Reauthorize => {
                self.rules.refused(self.now, grant, refresh.refresh_token().expose());
            }
            _ => {}
        }
        (response, answer.is_ok())
    }

    fn deliver(&mut self, run: usize, turn: u32, what: What) {
        let after = self.latency() / 4 + self.stall();
        self.schedule(after, Event::Deliver { run, turn, what });
    }

    // Chance and time.

    fn clock(&self, process: usize) -> u64 {
        self.now.saturating_add_signed(self.processes[process].offset)
    }

    fn happens(&mut self, chance: u64) -> bool {
        chance > 0 && self.now < self.calm_from && self.random.up_to(999) < chance
    }

    fn stall(&mut self) -> u64 {
        match self.happens(self.faults.stall) {
            true => self.random.up_to(200 * SECOND),
            false => 0,
        }
    }

    fn latency(&mut self) -> u64 {
        5 + self.random.up_to(400)
    }

    fn store_latency(&mut self) -> u64 {
        match self.happens(self.faults.store_is_slow) {
            true => self.random.up_to(90 * SECOND),
            false => 1 + self.random.up_to(30),
        }
    }

    fn schedule(&mut self, after: u64, event: Event) {
        self.events_made += 1;
        self.events.push(Reverse(Entry {
            at: self.now + after,
            order: self.events_made,
            event: Box::new(event),
        }));
    }

    fn fork(&mut self) -> Random {
        let mut seed = [0; 32];
        for bytes in seed.chunks_exact_mut(8) {
            bytes.copy_from_slice(&self.random.next_u64().to_le_bytes());
        }
        Random::new(seed)
    }

    fn broken(&mut self, what: &str) {
        self.rules.broken.get_or_insert_with(|| what.to_owned());
    }

    // The trace.

    fn log(&mut self, line: impl FnOnce(&mut Self) -> String) {
        if self.trace.is_some() {
            let line = line(self);
            let (seconds, milliseconds) = ((self.now - 1_000_000 * SECOND) / SECOND, self.now % SECOND);
            if let Some(trace) = &mut self.trace {
                writeln!(trace, "{seconds:>6}.{milliseconds:03}  {line}").unwrap();
            }
        }
    }

    fn name(&mut self, token: &str) -> String {
        let next = format!("{}{}", if token.starts_with("na1-") { 'r' } else { 'a' }, self.names.len());
        self.names.entry(token.to_owned()).or_insert(next).clone()
    }

    fn describe(&mut self, record: &Record) -> String {
        let mut text = format!("{:?}", record.state);
        if let Some(tokens) = &record.tokens {
            let refresh_token = refresh_token(tokens).map(|token| self.name(&token));
            write!(
                text,
                " {}/{}",
                self.name(tokens.access_token.expose()),
                refresh_token.unwrap_or_default()
            )
            .unwrap();
        }
        if let Some(lease) = &record.lease {
            let name = self.holder(lease.holder);
            write!(text, ", leased by {name} until {}", lease.until.as_millis() - 1_000_000 * SECOND)
                .unwrap();
        }
        if let Some(retry) = &record.retry {
            write!(
                text,
                ", retry at {} after {}",
                retry.at.as_millis().saturating_sub(1_000_000 * SECOND),
                retry.failures
            )
            .unwrap();
        }
        if record.unsettled {
            text += ", unsettled";
        }
        text
    }

    fn holder(&self, holder: HolderId) -> String {
        let run = self.runs.iter().find(|(_, running)| running.holder == Some(holder)).map(|(run, _)| *run);
        run.map_or("a run of the past".to_owned(), |run| format!("run {run}"))
    }

    fn describe_action(&mut self, action: &Action) -> String {
        match action {
            Action::Load => "load".to_owned(),
            Action::Swap(expected, record) => format!("swap {expected:?} for {}", self.describe(record)),
            Action::Send(refresh) => format!("send {}", self.name(refresh.refresh_token().expose())),
            Action::Revoke(revoke) => format!("revoke {}", self.name(revoke.refresh_token().expose())),
        }
    }

    fn describe_input(&mut self, input: &Input) -> String {
        match input {
            Input::Loaded(Some(stored)) => {
                format!("version {}: {}", stored.version, self.describe(&stored.record))
            }
            Input::Refreshed(answer) => self.describe_answer(answer),
            Input::Loaded(None) => "nothing is stored".to_owned(),
            other => format!("{other:?}"),
        }
    }

    fn describe_answer(&mut self, answer: &Result<TokenSet, Error>) -> String {
        match answer {
            Ok(tokens) => {
                let refresh_token = refresh_token(tokens).map(|token| self.name(&token)).unwrap_or_default();
                format!("{}/{refresh_token}", self.name(tokens.access_token.expose()))
            }
            Err(error) => error.to_string(),
        }
    }

    fn describe_result(&mut self, result: &Result<CurrentTokens, TokenError>) -> String {
        match result {
            Ok(held) => format!(
                "{}{}",
                self.name(held.tokens.access_token.expose()),
                if held.renewed { ", renewed" } else { "" }
            ),
            Err(error) => error.to_string(),
        }
    }
}

enum Next<T> {
    Act(Action),
    Admit(Deadline),
    Sleep(u64),
    Done(Result<T, TokenError>),
    Ended,
}

impl<T> Next<T> {
    fn ended(self) -> Next<CurrentTokens> {
        match self {
            Self::Act(action) => Next::Act(action),
            Self::Admit(deadline) => Next::Admit(deadline),
            Self::Sleep(milliseconds) => Next::Sleep(milliseconds),
            Self::Done(_) | Self::Ended => Next::Ended,
        }
    }
}

impl Next<CurrentTokens> {
    fn renewal(self) -> Self {
        self
    }
}

impl<T> From<Step<T>> for Next<T> {
    fn from(step: Step<T>) -> Self {
        match step {
            Step::Load { .. } => Self::Act(Action::Load),
            Step::Swap { expected, record, .. } => Self::Act(Action::Swap(expected, record)),
            Step::Send { refresh, .. } => Self::Act(Action::Send(refresh)),
            Step::Revoke(revoke) => Self::Act(Action::Revoke(revoke)),
            Step::Admit { deadline } => Self::Admit(deadline),
            Step::Sleep(duration) => Self::Sleep(millis(duration)),
            Step::Done(result) => Self::Done(result),
        }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// HubSpot's times, or such that the clocks' margin, and not the time kept for the save, keeps two requests apart.
fn policy(random: &mut Random) -> RenewalPolicy {
    let full = RenewalPolicy::new();
    let tokens = TokenSet::new("a".parse().unwrap(), 1800, at(0));
    let mut timing = full.timing(&tokens);
    if random.up_to(1) == 0 {
        timing.save = std::time::Duration::from_secs(1 + random.up_to(3));
        timing.lease = timing.request + timing.save + std::time::Duration::from_secs(2 + random.up_to(20));
    }
    RenewalPolicy::with_timing(timing).unwrap()
}

fn refusal(status: u16, retry_after: Option<u64>) -> Response<Vec<u8>> {
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    response.body(b"{}".to_vec()).unwrap()
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}
