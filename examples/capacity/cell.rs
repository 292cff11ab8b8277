//! A cell: the replicas of one part of the accounts, and these accounts, in virtual time.
//!
//! The cells have nothing to do with each other, but for the store and HubSpot, whose load is counted. So they are run one after the other,
//! in the memory that one takes.
//!
//! A renewal here is a run of `hs-oauth-core`, in the queue of `hs-oauth-manager`, begun by a call or by its sweep, over a store in memory. What
//! is not simulated is the calls that find a good bearer in their replica's memory, since nothing happens in them. So for each account and replica the next call is
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
use hs_oauth_manager::{
    Limits, PAGE_SIZE, Purpose, RenewalQueue, Standing, StoreOutage, SweepPlan, SweepStep, Wait,
};
use hs_oauth_store::{Cursor, MemoryStore, Swapped, TokenStore};

use crate::counts::Counts;
use crate::event::{BEGIN, Event};
use crate::options::Options;

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
    size: Size,
    now: Timestamp,
    random: Random,
    /// What is going to happen, the next first.
    agenda: BinaryHeap<Reverse<Entry>>,
    /// The number of entries that the agenda ever had. It keeps entries of one moment in their order.
    entries: u64,
    store: MemoryStore,
    replicas: Vec<Replica>,
    /// For each account, as many as replicas that get its calls.
    pairs: Vec<Pair>,
    accounts: Vec<AccountState>,
    flights: Vec<Option<Box<Flight>>>,
    free: Vec<u32>,
    counts: Counts,
}

/// What a replica has in memory besides its bearers.
struct Replica {
    queue: RenewalQueue<FlightId>,
    /// By account.
    flights: HashMap<u32, FlightId>,
    sweep: Option<SweepPlan>,
    /// The next time that the sweep looks what to do. Others that the agenda has are out of date.
    next_look: u32,
    /// The page that the sweep reads.
    page: Option<Cursor>,
    outage: StoreOutage,
    /// Tokens whose save failed, and how long the next try waits.
    unsaved: HashMap<u32, (UnsavedTokens, Duration)>,
}

/// An account at one of the replicas that get its calls.
#[derive(Clone, Copy)]
struct Pair {
    /// Until when the bearer in the replica's memory may be handed out.
    usable_until: Timestamp,
    /// The next call that is not for nothing. Others that the agenda has are out of date.
    next_call: u32,
}

#[derive(Clone, Copy)]
struct AccountState {
    /// How many tokens HubSpot has issued.
    issued: u32,
    /// Until when the stored token may be handed out.
    usable_until: Timestamp,
    /// When a call failed for the first time, if all others have failed since.
    failing_since: Option<Timestamp>,
}

/// An account at a replica, which need not be one that gets its calls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    account: u32,
    replica: u32,
}

/// A flight. Its number is used again after its end, but not together with its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FlightId {
    number: u32,
    uses: u32,
}

struct Flight {
    id: FlightId,
    place: Place,
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
    RetrySave(Place),
    /// A sweep looks what is to be done, if it is still to look then.
    Sweep {
        replica: u32,
        number: u32,
    },
    /// A sweep has read a page.
    PageRead {
        replica: u32,
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
        let limits = Limits {
            per_second: options.rate.and_then(NonZeroU32::new),
            replicas: NonZeroU32::new(options.replicas).ok_or("no replicas")?,
            ..Limits::default()
        };
        let unknown = AccountState { issued: 0, usable_until: Timestamp::from_secs(0), failing_since: None };
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
            replicas: Vec::new(),
            size,
            pairs: Vec::new(),
            accounts: vec![unknown; usize::try_from(size.accounts)?],
            flights: Vec::new(),
            free: Vec::new(),
            counts: Counts::new(event),
        };
        cell.start_replicas()?;
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
                What::RetrySave(place) => self.retry_save(place)?,
                What::Sweep { replica, number } => self.sweep(replica, number)?,
                What::PageRead { replica } => self.page_read(replica)?,
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
        let idle = match self.options.keeps_warm() {
            true => Duration::ZERO,
            false => self.options.time_between_calls() / replicas,
        };
        let life = due + idle;
        for account in 0..u32::try_from(self.accounts.len())? {
            let age = life.mul_f64(self.uniform());
            let age = if age > due { due + self.time_to_next_call() / replicas } else { age };
            let issued_at = START.minus(age);
            let tokens = self.issue(account, issued_at)?;
            let schedule = self.policy.schedule(&tokens);
            self.store.swap(hub(account), None, &Record::new(grant, tokens))?;
            at_mut(&mut self.accounts, account)?.usable_until = schedule.usable_until;
            let renewer = u32::try_from(self.random.up_to(u64::from(replicas) - 1))?;
            for replica in 0..replicas {
                let pair = u32::try_from(self.pairs.len())?;
                // A replica that has not had a call since then still has the token before, which ends some minutes later.
                let has_newest = replica == renewer || self.time_to_next_call() < age;
                let (usable_until, from) = match has_newest {
                    true => (schedule.usable_until, schedule.renew_from),
                    false => (issued_at.plus(Duration::from_secs(LIFETIME - 60) - due), START),
                };
                self.pairs.push(Pair { usable_until, next_call: 0 });
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

    /// Starts all replicas with nothing in their memory.
    fn start_replicas(&mut self) -> Result<(), BoxError> {
        let count = NonZeroU32::new(self.size.replicas).ok_or("no replicas")?;
        self.replicas.clear();
        for replica in 0..count.get() {
            let max_in_flight = usize::try_from(self.limits.in_flight.get().div_ceil(2))?;
            let seed = self.random.next_u64();
            let sweep = self.options.sweep.0.map(|sweep| {
                SweepPlan::new(sweep, self.policy, self.app.clone(), false, count, max_in_flight, seed)
            });
            self.replicas.push(Replica::new(self.limits, sweep));
            self.plan_sweep(replica, Duration::ZERO)?;
        }
        Ok(())
    }

    /// All replicas are killed: what they had in memory is lost.
    fn restart(&mut self) -> Result<(), BoxError> {
        for flight in self.flights.iter_mut().filter_map(Option::take) {
            self.free.push(flight.id.number);
        }
        // No other entry of the agenda is about what is to come.
        self.agenda.retain(|Reverse(entry)| matches!(entry.what, What::Call { .. }));
        self.start_replicas()?;
        for pair in 0..u32::try_from(self.pairs.len())? {
            at_mut(&mut self.pairs, pair)?.usable_until = Timestamp::from_secs(0);
            self.plan_call(pair, self.now)?;
        }
        Ok(())
    }

    /// Somebody asks for a bearer that is to be renewed, or that is not there.
    fn call(&mut self, pair: u32, number: u32) -> Result<(), BoxError> {
        let Pair { usable_until, next_call } = *at(&self.pairs, pair)?;
        if number != next_call {
            return Ok(());
        }
        let purpose = if self.now < usable_until { Purpose::Ahead } else { Purpose::Caller };
        let place = self.place(pair);
        let flight = self.replica(place.replica)?.flights.get(&place.account).copied();
        match flight {
            Some(flight) if purpose == Purpose::Caller => self.wait_for(flight),
            Some(_) => self.plan_call(pair, usable_until),
            None => self.begin_flight(place, purpose),
        }
    }

    /// A caller joins a flight.
    fn wait_for(&mut self, id: FlightId) -> Result<(), BoxError> {
        let now = self.now;
        let Some(flight) = self.flight(id) else { return Ok(()) };
        flight.awaited_since.get_or_insert(now);
        flight.purpose = Purpose::Caller;
        let place = flight.place;
        let replica = self.replica(place.replica)?;
        let moved = replica.queue.prioritize(hub(place.account)).copied();
        self.wake(moved);
        Ok(())
    }

    fn begin_flight(&mut self, place: Place, purpose: Purpose) -> Result<(), BoxError> {
        let now = self.now;
        let account = hub(place.account);
        let random = Random::new(self.seed());
        let replica = self.replica(place.replica)?;
        let unsaved = replica.unsaved.get(&place.account).map(|(unsaved, _)| unsaved.clone());
        if unsaved.is_none() && replica.outage.refusal(now, STORE_DEADLINE).is_some() {
            self.failed(place, purpose)?;
            return self.ended(place, None, false);
        }
        let mut run = Renewal::new(self.policy, self.app.clone(), account, random, Demand::Usable);
        if let Some(unsaved) = unsaved {
            run = run.with_unsaved(unsaved);
        }
        let step = run.start(now);
        let id = self.next_flight_id()?;
        let awaited_since = (purpose == Purpose::Caller).then_some(now);
        let flight =
            Flight { id, place, run, purpose, pending: Pending::Nothing, awaited_since, has_waited: false };
        *at_mut(&mut self.flights, id.number)? = Some(Box::new(flight));
        self.replica(place.replica)?.flights.insert(place.account, id);
        if let Some(pair) = self.pair(place).filter(|_| purpose == Purpose::Ahead) {
            let usable_until = at(&self.pairs, pair)?.usable_until;
            self.plan_call(pair, usable_until)?;
        }
        self.do_steps(id, step)
    }

    /// A call ends with an error, or a renewal that nobody waits for without a new token.
    fn failed(&mut self, place: Place, purpose: Purpose) -> Result<(), BoxError> {
        let Some(pair) = self.pair(place) else { return Ok(()) };
        match purpose {
            Purpose::Caller => {
                let now = self.now;
                let since = *at_mut(&mut self.accounts, place.account)?.failing_since.get_or_insert(now);
                self.counts.failed_callers += 1;
                self.counts.longest_failure = self.counts.longest_failure.max(now.since(since));
                self.counts.last_failure = self.counts.last_failure.max(self.elapsed());
                self.plan_call(pair, now.plus(MEMORY))
            }
            // The next call is planned already.
            Purpose::Sweep => Ok(()),
            _ => self.plan_call(pair, self.now.plus(PAUSE)),
        }
    }

    /// Tells the replica's sweep how a flight ended.
    fn ended(&mut self, place: Place, seen: Option<Option<Standing>>, renewed: bool) -> Result<(), BoxError> {
        let now = self.now;
        let Some(sweep) = &mut self.replica(place.replica)?.sweep else { return Ok(()) };
        sweep.ended(hub(place.account), seen, renewed, now);
        self.plan_sweep(place.replica, Duration::ZERO)
    }

    /// A sweep does what is to be done now.
    fn sweep(&mut self, replica: u32, number: u32) -> Result<(), BoxError> {
        let now = self.now;
        if self.replica(replica)?.next_look != number {
            return Ok(());
        }
        loop {
            let state = self.replica(replica)?;
            let Some(sweep) = &mut state.sweep else { return Ok(()) };
            match sweep.next(now) {
                SweepStep::ReadPage(cursor) => {
                    self.replica(replica)?.page = cursor;
                    self.plan(now.plus(self.options.store_time()), What::PageRead { replica });
                    return Ok(());
                }
                SweepStep::Renew(account) => {
                    let place = Place { account: u32::try_from(account.hub_id - 1)?, replica };
                    // The end of another flight of the account is noted, too.
                    if !self.replica(replica)?.flights.contains_key(&place.account) {
                        self.begin_flight(place, Purpose::Sweep)?;
                    }
                }
                SweepStep::Wait(time) => return self.plan_sweep(replica, time),
            }
        }
    }

    fn page_read(&mut self, replica: u32) -> Result<(), BoxError> {
        let (now, elapsed) = (self.now, self.elapsed());
        let page = match self.event.store_is_down(elapsed) {
            true => {
                self.counts.store_failures += 1;
                Err(StoreError::new(StoreErrorKind::Unavailable))
            }
            false => {
                self.counts.store_reads.count(elapsed);
                let cursor = self.replica(replica)?.page.take();
                self.store.page(cursor.as_ref(), PAGE_SIZE)
            }
        };
        let Some(sweep) = &mut self.replica(replica)?.sweep else { return Ok(()) };
        sweep.page_read(page, now);
        self.plan_sweep(replica, Duration::ZERO)
    }

    /// Plans when the sweep looks next what is to be done.
    fn plan_sweep(&mut self, replica: u32, wait: Duration) -> Result<(), BoxError> {
        let state = self.replica(replica)?;
        if state.sweep.is_some() {
            state.next_look = state.next_look.wrapping_add(1);
            let number = state.next_look;
            self.plan(self.now.plus(wait), What::Sweep { replica, number });
        }
        Ok(())
    }

    /// Does the steps of a run until it has to wait.
    fn do_steps(&mut self, id: FlightId, mut step: Step<CurrentTokens>) -> Result<(), BoxError> {
        loop {
            let Some(flight) = self.flight(id) else { return Ok(()) };
            let (place, purpose) = (flight.place, flight.purpose);
            let account = hub(place.account);
            let input = match step {
                Step::Load { .. } => return self.call_store(id, Pending::Load),
                Step::Swap { expected, record, .. } => {
                    return self.call_store(id, Pending::Swap { expected, record });
                }
                Step::Send { .. } => {
                    let now = self.now;
                    match self.replica(place.replica)?.queue.before_send(account, now) {
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
                    let front = self.replica(place.replica)?.queue.give_back(account).copied();
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
        let place = flight.place;
        let pending = std::mem::replace(&mut flight.pending, Pending::Nothing);
        let account = hub(place.account);
        let was_loaded = matches!(pending, Pending::Load);
        let input = match pending {
            Pending::Load => {
                let loaded = self.store.load(account);
                self.replica(place.replica)?.outage.note_load(account, &loaded, now);
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
                    self.replica(place.replica)?.outage.note_load::<()>(account, &Err(error.clone()), now);
                }
                Input::StoreFailed(error)
            }
            Pending::Response { sent_at } => self.respond(place, sent_at)?,
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
    fn respond(&mut self, place: Place, sent_at: Timestamp) -> Result<Input, BoxError> {
        let now = self.now;
        let account = place.account;
        let response = match self.event.hubspot_is_down(sent_at.since(START)) {
            true => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Err(Error::Api(ApiError::new(Operation::Refresh, status).into()))
            }
            false => Ok(self.issue(account, sent_at)?),
        };
        let replica = self.replica(place.replica)?;
        let woken = replica.queue.note_response(Some(hub(account)), &response, now);
        let woken: Vec<_> = woken.into_iter().flatten().copied().collect();
        woken.into_iter().for_each(|flight| self.wake(Some(flight)));
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
        let place = flight.place;
        let replica = self.replica(place.replica)?;
        let front = replica.queue.join(account, purpose, deadline, id).copied();
        self.wake(front.filter(|front| *front != id));
        self.admission(id)
    }

    /// Returns the input for a run that waits in the queue, or plans when it looks again.
    fn admission(&mut self, id: FlightId) -> Result<Option<Input>, BoxError> {
        let now = self.now;
        let Some(flight) = self.flight(id) else { return Ok(None) };
        let (place, has_waited) = (flight.place, flight.has_waited);
        let account = hub(place.account);
        let queue = &mut self.replica(place.replica)?.queue;
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
        let Flight { place, run, purpose, awaited_since, .. } = *flight;
        self.free.push(id.number);
        let replica = self.replica(place.replica)?;
        replica.flights.remove(&place.account);
        let front = replica.queue.end(hub(place.account)).copied();
        let earlier = replica.unsaved.remove(&place.account);
        self.wake(front);
        if let Some(unsaved) = run.into_unsaved() {
            let wait = earlier.map_or(FIRST_SAVE_WAIT, |(_, wait)| (wait * 2).min(MAX_SAVE_WAIT));
            self.replica(place.replica)?.unsaved.insert(place.account, (unsaved, wait));
            self.plan(now.plus(wait), What::RetrySave(place));
        }
        let seen = match (&result, self.options.sweep.0) {
            (Err(TokenError::Store(_)), _) | (_, None) => None,
            _ => Some(
                self.store.load(hub(place.account))?.map(|stored| Standing::of(&stored.record, &self.policy)),
            ),
        };
        let renewed = result.as_ref().is_ok_and(|current| current.renewed);
        match result {
            Ok(current) => {
                self.landed(place, &current, purpose, awaited_since.map(|since| now.since(since)))?
            }
            Err(_) => self.failed(place, purpose)?,
        }
        self.ended(place, seen, renewed)
    }

    /// A run has ended with usable tokens, for which somebody may have waited.
    fn landed(
        &mut self,
        place: Place,
        CurrentTokens { tokens, renewed, .. }: &CurrentTokens,
        purpose: Purpose,
        waited: Option<Duration>,
    ) -> Result<(), BoxError> {
        let now = self.now;
        let schedule = self.policy.schedule(tokens);
        let account = at_mut(&mut self.accounts, place.account)?;
        account.failing_since = None;
        if let Some(wait) = waited {
            self.counts.late_callers += u64::from(wait > LATE);
            self.counts.longest_wait = self.counts.longest_wait.max(wait);
        }
        if *renewed {
            let late = match self.options.keeps_warm() {
                true => now.since(account.usable_until),
                false => waited.unwrap_or_default(),
            };
            self.counts.latest_renewal = self.counts.latest_renewal.max(late);
            account.usable_until = schedule.usable_until;
        }
        let Some(pair) = self.pair(place) else { return Ok(()) };
        at_mut(&mut self.pairs, pair)?.usable_until = schedule.usable_until;
        // An old token that nobody can renew now is tried again after a pause.
        match (schedule.renew_from <= now, purpose) {
            (true, Purpose::Sweep) => Ok(()),
            (true, _) => self.plan_call(pair, now.plus(PAUSE)),
            (false, _) => self.plan_call(pair, schedule.renew_from),
        }
    }

    fn retry_save(&mut self, place: Place) -> Result<(), BoxError> {
        let replica = self.replica(place.replica)?;
        let is_unsaved = replica.unsaved.contains_key(&place.account);
        if !is_unsaved || replica.flights.contains_key(&place.account) {
            return Ok(());
        }
        self.begin_flight(place, Purpose::Ahead)
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

    /// Returns where a pair is: neighbours among the replicas share accounts.
    fn place(&self, pair: u32) -> Place {
        let account = pair / self.options.replicas_per_account;
        let replica = (account + pair % self.options.replicas_per_account) % self.size.replicas;
        Place { account, replica }
    }

    /// Returns the pair of a place, if its replica gets calls for the account.
    fn pair(&self, Place { account, replica }: Place) -> Option<u32> {
        let (replicas, of_account) = (self.size.replicas, self.options.replicas_per_account);
        let number = (replica + replicas - account % replicas) % replicas;
        (number < of_account).then_some(account * of_account + number)
    }

    fn replica(&mut self, number: u32) -> Result<&mut Replica, BoxError> {
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
    fn new(limits: Limits, sweep: Option<SweepPlan>) -> Self {
        Self {
            queue: RenewalQueue::new(limits),
            flights: HashMap::new(),
            sweep,
            next_look: 0,
            page: None,
            outage: StoreOutage::default(),
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
