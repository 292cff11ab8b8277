//! One schedule: processes, callers, a store and HubSpot under one virtual clock. The seed decides what happens next.

mod callers;
mod events;
mod operators;
mod processes;
mod requests;
mod runs;
mod shutdown;
mod store;
mod sweep;
mod trace;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use hs_oauth_core::renewal::{
    Demand, GrantId, GrantState, HolderId, Install, Record, RenewalPolicy, Retry, Run, Stored, Timing,
};
use hs_oauth_core::{Random, TokenSet};
use hs_oauth_emulator::Rotation;
use hs_oauth_manager::{Limits, RenewalQueue, Standing, Sweep, SweepPlan};

use super::faults::Faults;
use super::hubspot::{Deployment, HubSpot, at};
use super::renewal_run::{Begin, Ending, RenewalRun, UnsavedTokens};
use super::rules::{Rules, Window};
use super::writer::Patience;
use events::{Event, ScheduledEvent};

/// Times are in milliseconds of the true time. Each process has a clock of its own, which may differ from it.
pub(super) struct Simulator {
    begin: Begin,
    now: u64,
    random: Random,
    faults: Faults,
    /// From this moment on nothing fails.
    faults_end_at: u64,
    policy: RenewalPolicy,
    timing: Timing,
    /// How the processes look after the account if nobody asks for it.
    sweep: Option<Sweep>,
    hubspot: HubSpot,
    /// The store's record of the account.
    stored: Option<Stored>,
    /// The last version that the store has given.
    version: u64,
    processes: Vec<Process>,
    /// The runs that have not ended, by number.
    runs: BTreeMap<usize, ActiveRun>,
    runs_begun: usize,
    events: BinaryHeap<Reverse<ScheduledEvent>>,
    events_scheduled: u64,
    pub(super) rules: Rules,
    /// When the app was last uninstalled, by the customer or by itself.
    uninstalled_at: Option<u64>,
    /// When the code of each grant was exchanged.
    connected_at: HashMap<GrantId, u64>,
    /// Until this moment the store takes no writes.
    read_only_until: u64,
    /// The refresh tokens that were revoked.
    revoked: HashSet<String>,
    /// The window in which the account was lost.
    pub(super) lost_in: Option<Window>,
    /// Token requests sent.
    pub(super) requests: u64,
    /// Short names of tokens, for the trace.
    names: HashMap<String, String>,
    /// What happened, one line an event. None if it is not wanted.
    pub(super) trace: Option<String>,
}

struct Process {
    is_up: bool,
    deployment: Deployment,
    /// Its clock less the true time, in milliseconds.
    offset: i64,
    /// The offset of a clock that nobody has set to another time.
    skew: i64,
    cached: Option<TokenSet>,
    /// Until this moment of its clock it begins no renewal of a token that can still be handed out.
    pause_until: u64,
    /// The number of its renewal, while one runs.
    renewal: Option<usize>,
    /// The callers that wait for the renewal.
    waiting: Vec<Caller>,
    unsaved: Option<Unsaved>,
    /// What HubSpot's last responses say about its next renewals, and whether it is being shut down.
    queue: RenewalQueue<()>,
    is_shut_down: bool,
    /// The pause that HubSpot's last 429 asked for, by the clock of the process.
    asked_to_pause: Range<u64>,
    /// It looks after the account even if nobody asks for it.
    sweep: Option<SweepPlan>,
    /// How many sweeps it has started.
    sweeps_started: u32,
}

/// Tokens that a run of the process could not save.
struct Unsaved {
    tokens: UnsavedTokens,
    new_refresh_token: Option<String>,
    holder: Option<HolderId>,
    grant: Option<GrantId>,
}

/// A caller that waits for a token.
struct Caller {
    task: usize,
    /// The tokens that an API has rejected.
    rejected: Option<TokenSet>,
    since: u64,
    /// Whether it asks after the faults have ended, and must get a token.
    is_last: bool,
}

struct ActiveRun {
    process: usize,
    deployment: Deployment,
    patience: Patience,
    kind: RunKind,
    /// The number of the step that it waits for. The result of an earlier step does not reach it.
    step: u32,
    /// Token requests that it has sent.
    sends: u32,
    holder: Option<HolderId>,
    grant: Option<GrantId>,
    /// The end of its lease.
    lease_until: u64,
    /// The new refresh token that HubSpot has issued to it.
    new_refresh_token: Option<String>,
    /// When the code of the tokens that it installs was exchanged.
    connected_at: u64,
    /// The grant in the first record that it loaded. None if it has loaded none yet.
    found: Option<Option<GrantId>>,
    /// What the last record says that it loaded.
    loaded: Option<Loaded>,
    /// Whether HubSpot refused many other accounts when it responded.
    is_mass_refusal: bool,
    /// Whether it was refused an admission because of a shutdown.
    is_shutting_down: bool,
    /// Whether it was told to pause instead of sending.
    is_paused: bool,
    /// Whether it began with tokens that an earlier one could not save.
    has_unsaved: bool,
    /// How the account stood in the record that it loaded last. `None` in it is no record.
    seen: Option<Option<Standing>>,
}

/// What a record says that a run has loaded.
struct Loaded {
    state: GrantState,
    has_client_id: bool,
    /// Whether an access token of the grant is known. It is not after an import of a refresh token.
    has_access_token: bool,
    names_user: bool,
    retry: Option<Retry>,
}

#[expect(clippy::large_enum_variant, reason = "few exist at once")]
enum RunKind {
    Renewal(Box<dyn RenewalRun>),
    Install(Install),
    Disconnect(Ending, Box<dyn Run<Output = ()>>),
}

const SECOND: u64 = 1000;
const START: u64 = 1_000_000 * SECOND;

impl Simulator {
    pub(super) fn new(begin: Begin, seed: u64, is_traced: bool) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8] = 1;
        let mut random = Random::new(bytes);
        (0..8).for_each(|_| _ = random.next_u64());

        let rotation = [Rotation::Keep, Rotation::Rotate, Rotation::Strict][random.up_to(2) as usize];
        let life = [600, 1800][random.up_to(1) as usize];
        let policy = policy(&mut random);
        let mut hubspot = HubSpot::new(rotation, life);
        let tokens = hubspot.connect(START);
        let timing = policy.timing(&tokens);
        let margin = millis(timing.clock_margin);
        let faults = Faults::draw(&mut random, margin);
        let span = u64::from(life) * 2 * SECOND;
        let mut simulator = Self {
            begin,
            now: START,
            faults_end_at: START + span,
            timing,
            sweep: None,
            policy,
            hubspot,
            stored: None,
            version: random.up_to(100),
            processes: Vec::new(),
            runs: BTreeMap::new(),
            runs_begun: 0,
            events: BinaryHeap::new(),
            events_scheduled: 0,
            rules: Rules::new(rotation, margin, millis(timing.safety)),
            uninstalled_at: None,
            connected_at: HashMap::new(),
            read_only_until: 0,
            revoked: HashSet::new(),
            lost_in: None,
            requests: 0,
            names: HashMap::new(),
            trace: is_traced.then(String::new),
            random,
            faults,
        };
        simulator
            .log(|this| format!("{rotation:?}, tokens of {life} s, {:?}, {:?}", this.timing, this.faults));
        simulator.set_up(span, tokens);
        simulator
    }

    /// Installs the account, starts the processes, and schedules what comes from outside: callers, operators and clocks that are set.
    fn set_up(&mut self, span: u64, tokens: TokenSet) {
        let grant = GrantId::generate(&mut self.random);
        self.version += 1;
        let mut record = Record::new(grant, tokens);
        // An older version of the library wrote records without the client id.
        if self.random.up_to(3) > 0 {
            record.client_id = Some(self.hubspot.app.identity().client_id().to_owned());
        }
        self.rules.installed(START, &record);
        self.connected_at.insert(grant, START);
        self.stored = Some(Stored { version: self.version, record });

        // In some schedules everyone notices at once that the token has expired.
        let all_at_once = (self.random.up_to(3) == 0).then(|| self.random.up_to(span));
        self.sweep = match self.random.up_to(5) {
            0 => Some(Sweep::keep_warm()),
            1 => Some(Sweep::check_every(self.sweep_period())),
            _ => None,
        };
        for process in 0..=self.random.up_to(2) as usize {
            let skew = self.faults.skew as i64 * [0, 1, -1][process] / 2;
            self.processes.push(Process {
                is_up: true,
                deployment: Deployment::Right,
                offset: skew,
                skew,
                cached: None,
                pause_until: 0,
                renewal: None,
                waiting: Vec::new(),
                unsaved: None,
                queue: RenewalQueue::new(Limits::default()),
                is_shut_down: false,
                asked_to_pause: 0..0,
                sweep: None,
                sweeps_started: 0,
            });
            self.start_sweep(process);
            for task in 0..=self.random.up_to(2) as usize {
                let first = all_at_once.unwrap_or_else(|| self.random.up_to(span / 2));
                self.schedule(first, Event::Ask { process, task, is_last: false });
            }
            if self.random.up_to(999) < self.faults.clock_set {
                let when = self.random.up_to(span);
                let by = self.random.up_to(2400 * SECOND) as i64 - 1200 * SECOND as i64;
                self.schedule(when, Event::SetClock { process, by });
            }
        }
        for _ in 0..self.faults.operators {
            let (when, choice) = (self.random.up_to(span), self.random.up_to(6));
            self.schedule(when, Event::Operator { choice });
        }
        for _ in 0..self.faults.forced_renewals {
            let (when, process) = (self.random.up_to(span), self.random_process());
            let demand = [Demand::Recheck, Demand::Newer, Demand::NewerDespiteRetryAfter]
                [self.random.up_to(2) as usize]
                .clone();
            self.schedule(when, Event::ForceRenewal { process, demand });
        }
        for _ in 0..self.faults.wrong_deployments {
            let (when, process) = (self.random.up_to(span), self.random_process());
            let deployment = [Deployment::OtherApp, Deployment::WrongSecret][self.random.up_to(1) as usize];
            self.schedule(when, Event::Deploy { process, deployment });
            let back = when + self.random.up_to(1800 * SECOND);
            self.schedule(back, Event::Deploy { process, deployment: Deployment::Right });
        }
        for _ in 0..self.faults.shutdowns {
            let (when, process) = (self.random.up_to(span), self.random_process());
            self.schedule(when, Event::ShutDown { process });
        }
        for _ in 0..self.faults.store_is_read_only {
            let when = self.random.up_to(span);
            self.schedule(when, Event::ReadOnly);
        }
        self.schedule(span, Event::FaultsEnd);
    }

    /// Runs the schedule to its end, or until it violates a rule, which is then in `rules.violation`.
    pub(super) fn run(&mut self) {
        let mut count = 0_u32;
        while let Some(Reverse(ScheduledEvent { at, event, .. })) = self.events.pop() {
            self.now = self.now.max(at);
            self.handle(*event);
            count += 1;
            if count == 200_000 {
                self.rules.violate("the schedule does not end");
            }
            if self.rules.violation.is_some() {
                return;
            }
        }
        if self.processes.iter().any(|process| !process.waiting.is_empty()) {
            self.rules.violate("a caller never got a result");
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Ask { process, task, is_last } => self.ask(process, task, is_last),
            Event::Leave { process, task } => self.leave(process, task),
            Event::Perform { run, step, action } => {
                if self.runs.get(&run).is_some_and(|active| active.step == step) {
                    self.perform(run, action, true);
                }
            }
            Event::Load { run, step } => self.load(run, step),
            Event::Swap { run, step, swap, result } => self.swap_arrives(run, step, swap, result),
            Event::Request { run, step, request } => self.request_arrives(run, step, request),
            Event::Introspect { run, step, introspect } => self.introspect_arrives(run, step, &introspect),
            Event::Revoke { run, step, revoke } => self.revoke_arrives(run, step, &revoke),
            Event::Deliver { run, step, delivery } => self.resume_run(run, step, delivery),
            Event::SaveAgain { process } => {
                if self.processes[process].is_up && self.processes[process].unsaved.is_some() {
                    self.begin_renewal(process, Demand::Usable);
                }
            }
            Event::ShutDown { process } => self.shut_down(process),
            Event::ShutdownEnds { process } => self.end_shutdown(process),
            Event::Sweep { process, started } => self.do_sweep(process, started),
            Event::Admit { run, step, waited } => self.admit_again(run, step, waited),
            Event::Crash { process } => self.crash(process),
            Event::Restart { process } => self.restart(process),
            Event::SetClock { process, by } => self.set_clock(process, by),
            Event::Deploy { process, deployment } => self.deploy(process, deployment),
            Event::ForceRenewal { process, demand } => self.force_renewal(process, demand),
            Event::RecheckOtherApps => self.recheck_other_apps(0),
            Event::FaultsEnd => self.end_faults(),
            Event::ReadOnly => self.begin_read_only(),
            Event::Operator { choice } => self.operate(choice),
            Event::Uninstall { run } => self.uninstall_arrives(run),
            Event::Start { run } => self.start_run(run),
        }
    }

    fn schedule(&mut self, after: u64, event: Event) {
        self.events_scheduled += 1;
        self.events.push(Reverse(ScheduledEvent {
            at: self.now + after,
            order: self.events_scheduled,
            event: Box::new(event),
        }));
    }

    /// Draws whether a fault occurs. `chance` is in thousandths.
    fn occurs(&mut self, chance: u64) -> bool {
        chance > 0 && self.now < self.faults_end_at && self.random.up_to(999) < chance
    }

    /// Draws how long a process is paused.
    fn pause(&mut self) -> u64 {
        match self.occurs(self.faults.pause) {
            true => self.random.up_to(200 * SECOND),
            false => 0,
        }
    }

    /// Draws how long the network takes.
    fn latency(&mut self) -> u64 {
        5 + self.random.up_to(400)
    }

    fn random_process(&mut self) -> usize {
        self.random.up_to(self.processes.len() as u64 - 1) as usize
    }

    /// Returns a random source for one run.
    fn fork_random(&mut self) -> Random {
        let mut seed = [0; 32];
        for bytes in seed.chunks_exact_mut(8) {
            bytes.copy_from_slice(&self.random.next_u64().to_le_bytes());
        }
        Random::new(seed)
    }
}

/// Returns the default times; or times with which the margin for clocks, and not the time for the save, keeps two requests apart.
fn policy(random: &mut Random) -> RenewalPolicy {
    let default = RenewalPolicy::new();
    let tokens = TokenSet::new("a".parse().unwrap(), 1800, at(0));
    let mut timing = default.timing(&tokens);
    if random.up_to(1) == 0 {
        timing.save = Duration::from_secs(1 + random.up_to(3));
        timing.lease = timing.request + timing.save + Duration::from_secs(2 + random.up_to(20));
    }
    RenewalPolicy::with_timing(timing).unwrap()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}
