//! A cell: a few replicas and the accounts whose calls they get, in virtual time.
//!
//! No replica of one cell and no account of another have anything to do with each other, but for the store and HubSpot, whose load is
//! counted. So a fleet is as many cells as it has replicas by the dozen, and they are run one after the other in the memory of one.
//!
//! A renewal here is a run of `hs-oauth-core`, in the queue of `hs-oauth-manager`, over a store in memory. What is not simulated is
//! the calls that find a good bearer in their replica's memory, since nothing happens in them. So for each account and replica the next call is
//! drawn that finds a token in the last part of its life.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::num::NonZeroU32;
use std::time::Duration;

use hs_oauth_core::http::StatusCode;
use hs_oauth_core::renewal::{
    CurrentTokens, Deadline, Demand, GrantId, Input, Record, Renewal, RenewalPolicy, Run, Step, TokenError,
    UnsavedTokens,
};
use hs_oauth_core::{
    AccessToken, Account, ApiError, AppIdentity, Error, Operation, Random, RefreshToken, StoreError,
    StoreErrorKind, Timestamp, TokenSet,
};
use hs_oauth_examples::BoxError;
use hs_oauth_manager::{Limits, Purpose, RenewalQueue, StoreOutage, Wait};
use hs_oauth_store::{MemoryStore, Swapped, TokenStore};

use crate::counts::Counts;
use crate::event::{BEGIN, Event};
use crate::options::Options;

/// The most replicas of a cell.
pub(crate) const CELL: u32 = 10;

/// How large a cell is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) number: u32,
    pub(crate) replicas: u32,
    pub(crate) accounts: u32,
}

/// A few replicas and their accounts.
pub(crate) struct Cell<'a> {
    options: &'a Options,
    event: Event,
    app: AppIdentity,
    policy: RenewalPolicy,
    limits: Limits,
    now: Timestamp,
    random: Random,
    /// What is going to happen, the next first.
    agenda: BinaryHeap<Reverse<Entry>>,
    /// The number of entries that the agenda ever had. It keeps entries of one moment in their order.
    entries: u64,
    store: MemoryStore,
    replicas: Vec<Replica>,
    /// For each account, as many as it has replicas.
    pairs: Vec<Pair>,
    accounts: Vec<AccountState>,
    flights: Vec<Option<Box<Flight>>>,
    free: Vec<u32>,
    counts: Counts,
}

/// What a replica has in memory besides its bearers.
struct Replica {
    queue: RenewalQueue<FlightId>,
    outage: StoreOutage,
    /// The flights that a caller waits for and that wait in the queue. Some of them may have left it.
    waiting_callers: Vec<FlightId>,
    /// Tokens whose save failed, and how long the next try waits.
    unsaved: HashMap<u32, (UnsavedTokens, Duration)>,
}

/// An account at one of the replicas that get its calls.
#[derive(Clone, Copy)]
struct Pair {
    /// Until when the bearer in the replica's memory may be handed out.
    usable_until: Timestamp,
    flight: Option<FlightId>,
    /// The next call that is not for nothing. Others that the agenda has are out of date.
    next_call: u32,
}

#[derive(Clone, Copy, Default)]
struct AccountState {
    /// How many tokens HubSpot has issued.
    issued: u32,
    /// When a call failed for the first time, if all others have failed since.
    failing_since: Option<Timestamp>,
}

/// A flight. Its number is used again after its end, but not together with its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FlightId {
    number: u32,
    uses: u32,
}

struct Flight {
    id: FlightId,
    pair: u32,
    run: Renewal,
    purpose: Purpose,
    pending: Pending,
    /// When the first caller began to wait.
    awaited_since: Option<Timestamp>,
    has_waited: bool,
}

/// What a run waits for.
enum Pending {
    Nothing,
    Load,
    Swap { expected: Option<u64>, record: Box<Record> },
    StoreFailure { is_load: bool },
    Response { sent_at: Timestamp },
    Admission,
    Sleep,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Timestamp,
    number: u64,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Restart,
    /// The next call of a pair, if it is still the next.
    Call {
        pair: u32,
        number: u32,
    },
    /// What a flight waits for has come.
    Continue(FlightId),
    /// A flight looks whether it may begin.
    Look(FlightId),
    RetrySave {
        pair: u32,
    },
}

/// How long HubSpot's access tokens live, in seconds.
const LIFETIME: u64 = 1800;

/// A caller who gets a bearer later than this is late.
const LATE: Duration = Duration::from_secs(1);

/// How long a call of the store waits for an answer.
const STORE_DEADLINE: Duration = Duration::from_secs(2);

/// How long a process remembers that an account has no bearer, and the wait before an early renewal is tried again.
const MEMORY: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(3);

/// The waits between attempts to save tokens.
const FIRST_SAVE_WAIT: Duration = Duration::from_secs(1);
const MAX_SAVE_WAIT: Duration = Duration::from_secs(60);

/// The begin of the virtual time.
const START: Timestamp = Timestamp::from_secs(1_800_000_000);

impl<'a> Cell<'a> {
    /// Returns a fleet whose tokens are of every age.
    pub(crate) fn new(
        options: &'a Options,
        app: &AppIdentity,
        event: Event,
        size: Size,
    ) -> Result<Self, BoxError> {
        let mut seed = [7; 32];
        for (byte, number) in seed.iter_mut().zip(size.number.to_le_bytes()) {
            *byte = number;
        }
        let mut limits = Limits::default();
        if let Some(rate) = options.rate {
            let share = NonZeroU32::new(rate / options.replicas);
            limits.per_second = Some(share.ok_or("a rate below one renewal a second for each replica")?);
        }
        let mut cell = Self {
            options,
            event,
            app: app.clone(),
            policy: RenewalPolicy::new(),
            limits,
            now: START,
            random: Random::new(seed),
            agenda: BinaryHeap::new(),
            entries: 0,
            store: MemoryStore::new(),
            replicas: (0..size.replicas).map(|_| Replica::new(limits)).collect(),
            pairs: Vec::new(),
            accounts: vec![AccountState::default(); usize::try_from(size.accounts)?],
            flights: Vec::new(),
            free: Vec::new(),
            counts: Counts::new(event),
        };
        cell.install()?;
        if event == Event::Restart {
            cell.plan(START.plus(BEGIN), What::Restart);
        }
        Ok(cell)
    }

    /// Lets the time pass, and returns what was counted.
    pub(crate) fn run(mut self) -> Result<Counts, BoxError> {
        let end = START.plus(self.event.watched());
        while let Some(Reverse(Entry { at, what, .. })) = self.agenda.pop() {
            if at >= end {
                break;
            }
            self.now = at;
            match what {
                What::Restart => self.restart()?,
                What::Call { pair, number } => self.call(pair, number)?,
                What::Continue(flight) => self.go_on(flight)?,
                What::Look(flight) => self.look(flight)?,
                What::RetrySave { pair } => self.retry_save(pair)?,
            }
        }
        Ok(self.counts)
    }

    /// Stores tokens of every age for all accounts, and gives them to their replicas, as they are after some hours.
    fn install(&mut self) -> Result<(), BoxError> {
        let grant = GrantId::generate(&mut self.random);
        let replicas = self.options.replicas_per_account;
        // A token is replaced at the first call after this age, at whichever replica that is.
        let due = Duration::from_secs(1400);
        let life = due + self.options.time_between_calls() / replicas;
        for account in 0..u32::try_from(self.accounts.len())? {
            let age = life.mul_f64(self.uniform());
            let age = if age > due { due + self.time_to_next_call() / replicas } else { age };
            let issued_at = START.minus(age);
            let tokens = self.issue(account, issued_at)?;
            let schedule = self.policy.schedule(&tokens);
            self.store.swap(hub(account), None, &Record::new(grant, tokens))?;
            let renewer = u32::try_from(self.random.up_to(u64::from(replicas) - 1))?;
            for replica in 0..replicas {
                let pair = u32::try_from(self.pairs.len())?;
                // A replica that has not had a call since then still has the token before, which ends some minutes later.
                let has_newest = replica == renewer || self.time_to_next_call() < age;
                let (usable_until, from) = match has_newest {
                    true => (schedule.usable_until, schedule.renew_from),
                    false => (issued_at.plus(Duration::from_secs(LIFETIME - 60) - due), START),
                };
                self.pairs.push(Pair { usable_until, flight: None, next_call: 0 });
                self.plan_call(pair, from)?;
            }
        }
        Ok(())
    }

    /// Issues a token as HubSpot does.
    fn issue(&mut self, account: u32, at: Timestamp) -> Result<TokenSet, BoxError> {
        let state = at_mut(&mut self.accounts, account)?;
        state.issued += 1;
        let token = AccessToken::new(format!("{account:08}-{:08}", state.issued))?;
        let mut tokens = TokenSet::new(token, LIFETIME, at);
        tokens.refresh_token = Some(RefreshToken::new(format!("{account:08}"))?);
        tokens.hub_id = Some(hub(account).hub_id);
        Ok(tokens)
    }

    /// All replicas are killed: what they had in memory is lost.
    fn restart(&mut self) -> Result<(), BoxError> {
        for flight in self.flights.iter_mut().filter_map(Option::take) {
            self.free.push(flight.id.number);
        }
        // No entry of the agenda is about a flight of now.
        self.agenda.retain(|Reverse(entry)| matches!(entry.what, What::Call { .. }));
        for replica in &mut self.replicas {
            *replica = Replica::new(self.limits);
        }
        for pair in 0..u32::try_from(self.pairs.len())? {
            let state = at_mut(&mut self.pairs, pair)?;
            (state.usable_until, state.flight) = (Timestamp::from_secs(0), None);
            self.plan_call(pair, self.now)?;
        }
        Ok(())
    }

    /// Somebody asks for a bearer that is to be renewed, or that is not there.
    fn call(&mut self, pair: u32, number: u32) -> Result<(), BoxError> {
        let Pair { usable_until, flight, next_call } = *at(&self.pairs, pair)?;
        if number != next_call {
            return Ok(());
        }
        let purpose = if self.now < usable_until { Purpose::Ahead } else { Purpose::Caller };
        match flight {
            Some(flight) if purpose == Purpose::Caller => self.wait_for(flight),
            Some(_) => self.plan_call(pair, usable_until),
            None => self.begin_flight(pair, purpose),
        }
    }

    /// A caller joins a flight.
    fn wait_for(&mut self, id: FlightId) -> Result<(), BoxError> {
        let now = self.now;
        let Some(flight) = self.flight(id) else { return Ok(()) };
        flight.awaited_since.get_or_insert(now);
        flight.purpose = Purpose::Caller;
        let pair = flight.pair;
        let account = hub(self.account(pair));
        let replica = self.replica(pair)?;
        replica.waiting_callers.push(id);
        let moved = replica.queue.prioritize(account).copied();
        self.wake(moved);
        Ok(())
    }

    fn begin_flight(&mut self, pair: u32, purpose: Purpose) -> Result<(), BoxError> {
        let now = self.now;
        let account = hub(self.account(pair));
        let random = Random::new(self.seed());
        let replica = self.replica(pair)?;
        let unsaved = replica.unsaved.remove(&pair);
        if unsaved.is_none() && replica.outage.refusal(now, STORE_DEADLINE).is_some() {
            return self.failed(pair, purpose);
        }
        let mut run = Renewal::new(self.policy, self.app.clone(), account, random, Demand::Usable);
        if let Some((unsaved, wait)) = unsaved {
            self.replica(pair)?.unsaved.insert(pair, (unsaved.clone(), wait));
            run = run.with_unsaved(unsaved);
        }
        let step = run.start(now);
        let id = self.next_flight_id()?;
        let awaited_since = (purpose == Purpose::Caller).then_some(now);
        let flight =
            Flight { id, pair, run, purpose, pending: Pending::Nothing, awaited_since, has_waited: false };
        *at_mut(&mut self.flights, id.number)? = Some(Box::new(flight));
        let state = at_mut(&mut self.pairs, pair)?;
        state.flight = Some(id);
        let usable_until = state.usable_until;
        if purpose == Purpose::Ahead {
            self.plan_call(pair, usable_until)?;
        }
        self.do_steps(id, step)
    }

    /// A call ends with an error, or an early renewal without a new token.
    fn failed(&mut self, pair: u32, purpose: Purpose) -> Result<(), BoxError> {
        if purpose != Purpose::Caller {
            return self.plan_call(pair, self.now.plus(PAUSE));
        }
        let (now, account) = (self.now, self.account(pair));
        let since = *at_mut(&mut self.accounts, account)?.failing_since.get_or_insert(now);
        self.counts.failed_callers += 1;
        self.counts.longest_failure = self.counts.longest_failure.max(now.since(since));
        self.counts.last_failure = self.counts.last_failure.max(self.elapsed());
        self.plan_call(pair, now.plus(MEMORY))
    }

    /// Does the steps of a run until it has to wait.
    fn do_steps(&mut self, id: FlightId, mut step: Step<CurrentTokens>) -> Result<(), BoxError> {
        loop {
            let Some(flight) = self.flight(id) else { return Ok(()) };
            let (pair, purpose) = (flight.pair, flight.purpose);
            let account = hub(self.account(pair));
            let input = match step {
                Step::Load { .. } => return self.call_store(id, Pending::Load),
                Step::Swap { expected, record, .. } => {
                    return self.call_store(id, Pending::Swap { expected, record });
                }
                Step::Send { .. } => {
                    let now = self.now;
                    match self.replica(pair)?.queue.pause(account, now) {
                        Some(input) => input,
                        None => {
                            self.counts.requests.count(self.elapsed());
                            let wait = self.options.hubspot_time();
                            return self.wait(id, Pending::Response { sent_at: now }, wait);
                        }
                    }
                }
                Step::Admit { deadline } => match self.join(id, account, purpose, deadline)? {
                    Some(input) => input,
                    None => return Ok(()),
                },
                Step::Sleep(time) => {
                    let front = self.replica(pair)?.queue.rest(account).copied();
                    self.wake(front);
                    return self.wait(id, Pending::Sleep, time);
                }
                Step::Done(result) => return self.land(id, result),
                Step::Introspect(_) | Step::Revoke(_) => return Err("no run here asks for that".into()),
            };
            let now = self.now;
            let Some(flight) = self.flight(id) else { return Ok(()) };
            step = flight.run.resume(now, input);
        }
    }

    fn call_store(&mut self, id: FlightId, pending: Pending) -> Result<(), BoxError> {
        let elapsed = self.elapsed();
        let is_load = matches!(pending, Pending::Load);
        if self.event.store_is_down(elapsed) {
            self.counts.store_failures += 1;
            return self.wait(id, Pending::StoreFailure { is_load }, STORE_DEADLINE);
        }
        match is_load {
            true => self.counts.store_reads.count(elapsed),
            false => self.counts.store_writes.count(elapsed),
        }
        self.wait(id, pending, self.options.store_time())
    }

    fn wait(&mut self, id: FlightId, pending: Pending, time: Duration) -> Result<(), BoxError> {
        self.plan(self.now.plus(time), What::Continue(id));
        if let Some(flight) = self.flight(id) {
            flight.pending = pending;
        }
        Ok(())
    }

    /// What a flight waited for has come.
    fn go_on(&mut self, id: FlightId) -> Result<(), BoxError> {
        let now = self.now;
        let Some(flight) = self.flight(id) else { return Ok(()) };
        let pair = flight.pair;
        let pending = std::mem::replace(&mut flight.pending, Pending::Nothing);
        let account = hub(self.account(pair));
        let was_loaded = matches!(pending, Pending::Load);
        let input = match pending {
            Pending::Load => {
                let loaded = self.store.load(account);
                self.replica(pair)?.outage.note_load(account, &loaded, now);
                Input::Loaded(loaded?)
            }
            Pending::Swap { expected, record } => match self.store.swap(account, expected, &record)? {
                Swapped::Stored(version) => Input::Stored(version),
                Swapped::Conflict => {
                    self.counts.lease_conflicts += 1;
                    Input::Conflict
                }
            },
            Pending::StoreFailure { is_load } => {
                let error = StoreError::new(StoreErrorKind::Unavailable);
                if is_load {
                    self.replica(pair)?.outage.note_load::<()>(account, &Err(error.clone()), now);
                }
                Input::StoreFailed(error)
            }
            Pending::Response { sent_at } => self.respond(pair, sent_at)?,
            Pending::Sleep => Input::Slept,
            Pending::Admission | Pending::Nothing => return Err("this flight waits for nothing".into()),
        };
        let Some(flight) = self.flight(id) else { return Ok(()) };
        let step = flight.run.resume(now, input);
        // Straight after a load, it waits for the holder of the lease.
        self.counts.lease_waits += u64::from(was_loaded && matches!(step, Step::Sleep(_)));
        self.do_steps(id, step)
    }

    /// HubSpot responds to a request.
    fn respond(&mut self, pair: u32, sent_at: Timestamp) -> Result<Input, BoxError> {
        let now = self.now;
        let account = self.account(pair);
        let response = match self.event.hubspot_is_down(sent_at.since(START)) {
            true => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Err(Error::Api(ApiError::new(Operation::Refresh, status).into()))
            }
            false => Ok(self.issue(account, sent_at)?),
        };
        let replica = self.replica(pair)?;
        let looks_again = replica.queue.note_response(Some(hub(account)), &response, now).is_some();
        if looks_again {
            // Of those that wait, a caller's run may end, and the first one may begin. The others would only look.
            let front = replica.queue.leave(hub(account)).copied();
            let callers = std::mem::take(&mut replica.waiting_callers);
            callers.into_iter().chain(front).for_each(|flight| self.wake(Some(flight)));
        }
        Ok(Input::Refreshed { response, is_mass_refusal: false })
    }

    /// Joins the queue. Returns the input for the run, if it need not wait.
    fn join(
        &mut self,
        id: FlightId,
        account: Account,
        purpose: Purpose,
        deadline: Deadline,
    ) -> Result<Option<Input>, BoxError> {
        let Some(flight) = self.flight(id) else { return Ok(None) };
        flight.pending = Pending::Admission;
        flight.has_waited = false;
        let pair = flight.pair;
        let replica = self.replica(pair)?;
        let front = replica.queue.join(account, purpose, deadline, id).copied();
        if purpose == Purpose::Caller {
            replica.waiting_callers.push(id);
        }
        self.wake(front.filter(|front| *front != id));
        self.admission(id)
    }

    /// Returns the input for a run that waits in the queue, or plans when it looks again.
    fn admission(&mut self, id: FlightId) -> Result<Option<Input>, BoxError> {
        let now = self.now;
        let Some(flight) = self.flight(id) else { return Ok(None) };
        let (pair, has_waited) = (flight.pair, flight.has_waited);
        let account = hub(self.account(pair));
        let queue = &mut self.replica(pair)?.queue;
        match queue.admit(account, now, has_waited) {
            Ok(input) => {
                let front = queue.leave(account).copied();
                self.wake(front);
                if let Some(flight) = self.flight(id) {
                    flight.pending = Pending::Nothing;
                }
                Ok(Some(input))
            }
            Err(wait) => {
                if let Wait::For(time) = wait {
                    self.plan(now.plus(time), What::Look(id));
                }
                if let Some(flight) = self.flight(id) {
                    flight.has_waited = true;
                }
                Ok(None)
            }
        }
    }

    fn look(&mut self, id: FlightId) -> Result<(), BoxError> {
        if !self.flight(id).is_some_and(|flight| matches!(flight.pending, Pending::Admission)) {
            return Ok(());
        }
        let Some(input) = self.admission(id)? else { return Ok(()) };
        let now = self.now;
        let Some(flight) = self.flight(id) else { return Ok(()) };
        let step = flight.run.resume(now, input);
        self.do_steps(id, step)
    }

    /// A run has ended.
    fn land(&mut self, id: FlightId, result: Result<CurrentTokens, TokenError>) -> Result<(), BoxError> {
        let now = self.now;
        let Some(flight) = self.flights.get_mut(index(id.number)).and_then(Option::take) else {
            return Ok(());
        };
        let Flight { pair, run, purpose, awaited_since, .. } = *flight;
        self.free.push(id.number);
        let account = self.account(pair);
        let front = self.replica(pair)?.queue.end(hub(account)).copied();
        self.wake(front);
        at_mut(&mut self.pairs, pair)?.flight = None;
        let unsaved = run.into_unsaved();
        let replica = self.replica(pair)?;
        let earlier = replica.unsaved.remove(&pair);
        if let Some(unsaved) = unsaved {
            let wait = earlier.map_or(FIRST_SAVE_WAIT, |(_, wait)| (wait * 2).min(MAX_SAVE_WAIT));
            replica.unsaved.insert(pair, (unsaved, wait));
            self.plan(now.plus(wait), What::RetrySave { pair });
        }
        let Ok(CurrentTokens { tokens, renewed, .. }) = result else {
            return self.failed(pair, purpose);
        };
        at_mut(&mut self.accounts, account)?.failing_since = None;
        if let Some(wait) = awaited_since.map(|since| now.since(since)) {
            self.counts.late_callers += u64::from(wait > LATE);
            self.counts.longest_wait = self.counts.longest_wait.max(wait);
            if renewed {
                self.counts.latest_renewal = self.counts.latest_renewal.max(wait);
            }
        }
        let schedule = self.policy.schedule(&tokens);
        at_mut(&mut self.pairs, pair)?.usable_until = schedule.usable_until;
        // An old token that nobody can renew now is tried again after a pause.
        let is_old = schedule.renew_from <= now;
        self.plan_call(pair, if is_old { now.plus(PAUSE) } else { schedule.renew_from })
    }

    fn retry_save(&mut self, pair: u32) -> Result<(), BoxError> {
        let has_flight = at(&self.pairs, pair)?.flight.is_some();
        if has_flight || !self.replica(pair)?.unsaved.contains_key(&pair) {
            return Ok(());
        }
        self.begin_flight(pair, Purpose::Ahead)
    }

    /// Plans the next call for a pair from a moment on.
    fn plan_call(&mut self, pair: u32, from: Timestamp) -> Result<(), BoxError> {
        let wait = self.time_to_next_call();
        let state = at_mut(&mut self.pairs, pair)?;
        state.next_call = state.next_call.wrapping_add(1);
        let number = state.next_call;
        self.plan(from.max(self.now).plus(wait), What::Call { pair, number });
        Ok(())
    }

    /// Returns the time until a call comes. Calls come independently of each other, so it is exponentially distributed.
    fn time_to_next_call(&mut self) -> Duration {
        let uniform = self.uniform();
        self.options.time_between_calls().mul_f64(-uniform.ln())
    }

    /// Returns a random number between 0 and 1, which are not among the results.
    fn uniform(&mut self) -> f64 {
        let number = u32::try_from(self.random.next_u64() >> 32).unwrap_or(0);
        (f64::from(number) + 0.5) / (f64::from(u32::MAX) + 1.0)
    }

    fn plan(&mut self, at: Timestamp, what: What) {
        self.entries += 1;
        self.agenda.push(Reverse(Entry { at, number: self.entries, what }));
    }

    fn wake(&mut self, flight: Option<FlightId>) {
        if let Some(flight) = flight {
            self.plan(self.now, What::Look(flight));
        }
    }

    fn next_flight_id(&mut self) -> Result<FlightId, BoxError> {
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.flights.push(None);
                u32::try_from(self.flights.len() - 1)?
            }
        };
        self.entries += 1;
        Ok(FlightId { number, uses: u32::try_from(self.entries & u64::from(u32::MAX))? })
    }

    fn flight(&mut self, id: FlightId) -> Option<&mut Flight> {
        self.flights.get_mut(index(id.number))?.as_deref_mut().filter(|flight| flight.id == id)
    }

    fn account(&self, pair: u32) -> u32 {
        pair / self.options.replicas_per_account
    }

    /// Returns the replica of a pair: neighbours share accounts.
    fn replica(&mut self, pair: u32) -> Result<&mut Replica, BoxError> {
        let replicas = u32::try_from(self.replicas.len())?;
        let number = (self.account(pair) + pair % self.options.replicas_per_account) % replicas;
        at_mut(&mut self.replicas, number)
    }

    fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for chunk in seed.chunks_mut(8) {
            chunk.copy_from_slice(&self.random.next_u64().to_le_bytes());
        }
        seed
    }

    fn elapsed(&self) -> Duration {
        self.now.since(START)
    }
}

impl Replica {
    fn new(limits: Limits) -> Self {
        Self {
            queue: RenewalQueue::new(limits),
            outage: StoreOutage::default(),
            waiting_callers: Vec::new(),
            unsaved: HashMap::new(),
        }
    }
}

fn hub(account: u32) -> Account {
    Account::hub(i64::from(account) + 1)
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn at<T>(list: &[T], number: u32) -> Result<&T, BoxError> {
    list.get(index(number)).ok_or_else(|| "out of range".into())
}

fn at_mut<T>(list: &mut [T], number: u32) -> Result<&mut T, BoxError> {
    list.get_mut(index(number)).ok_or_else(|| "out of range".into())
}
