use hs_oauth_core::http::StatusCode;
use hs_oauth_core::{ApiError, Operation};

use super::*;

const START: Timestamp = Timestamp::from_secs(1_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn queue(per_second: u32) -> RenewalQueue<()> {
    RenewalQueue::new(Limits {
        per_second: NonZeroU32::new(per_second),
        in_flight: NonZeroU32::MAX,
        ..Limits::default()
    })
}

/// Returns a queue without a rate that allows so many renewals in flight.
fn queue_in_flight(max: u32) -> RenewalQueue<()> {
    RenewalQueue::new(Limits { in_flight: NonZeroU32::new(max).unwrap(), ..Limits::default() })
}

fn rate_limit(seconds: u64) -> Result<(), Error> {
    let mut error = ApiError::new(Operation::Refresh, StatusCode::TOO_MANY_REQUESTS);
    error.retry_after = Some(Duration::from_secs(seconds));
    Err(error.into())
}

fn unavailable() -> Result<(), Error> {
    Err(ApiError::new(Operation::Refresh, StatusCode::SERVICE_UNAVAILABLE).into())
}

fn at(milliseconds: u64) -> Timestamp {
    START.plus(Duration::from_millis(milliseconds))
}

/// The result of [`RenewalQueue::admit`], as a value that can be compared.
#[derive(Debug, PartialEq)]
enum Admission {
    Begin,
    Skip,
    Paused(Duration),
    ShuttingDown,
    Wait(Wait),
}

fn hub(hub_id: i64) -> Account {
    Account::hub(hub_id)
}

impl RenewalQueue<()> {
    fn join_ahead(&mut self, account: Account, deadline: Timestamp) {
        self.join(account, Purpose::Ahead, Deadline::At(deadline), ());
    }

    /// Returns the hub id of the account that a worker renews next, or how long the worker waits. The renewal sends a refresh and ends at
    /// once.
    fn work(&mut self, now: Timestamp) -> Result<i64, Option<Duration>> {
        match self.next(now) {
            Ok(Some(admitted)) => {
                assert!(self.before_send(admitted.account, now).is_none());
                self.end(admitted.account);
                Ok(admitted.account.hub_id)
            }
            Err(Wait::For(wait)) => Err(Some(wait)),
            Ok(None) | Err(Wait::UntilWoken) => Err(None),
        }
    }

    /// Returns the admission of a run that has waited before. If it begins, it sends a refresh.
    fn admission(&mut self, account: Account, now: Timestamp) -> Admission {
        match self.admit(account, now, true) {
            Ok(Input::Admit { waited: true }) => {
                assert!(self.before_send(account, now).is_none());
                Admission::Begin
            }
            Ok(Input::Skip) => Admission::Skip,
            Ok(Input::Paused { wait, .. }) => Admission::Paused(wait),
            Ok(Input::ShuttingDown) => Admission::ShuttingDown,
            Ok(other) => panic!("{other:?}"),
            Err(wait) => Admission::Wait(wait),
        }
    }
}

/// Admits every run as soon as it may begin. Returns the hub id of each, and when it began.
fn admit_all(queue: &mut RenewalQueue<()>, mut now: Timestamp) -> Vec<(i64, Timestamp)> {
    let mut begun = Vec::new();
    while let Some(first) = queue.order.first().map(|rank| rank.account) {
        match queue.admission(first, now) {
            Admission::Begin => begun.push((first.hub_id, now)),
            Admission::Wait(Wait::For(wait)) => now = now.plus(wait),
            other => panic!("{other:?}"),
        }
    }
    begun
}

/// Renews every queued account as soon as that may begin. Returns their hub ids in order.
fn work_all(queue: &mut RenewalQueue<()>) -> Vec<i64> {
    let (mut now, mut order) = (START, Vec::new());
    loop {
        match queue.work(now) {
            Ok(hub_id) => order.push(hub_id),
            Err(Some(wait)) => now = now.plus(wait),
            Err(None) => return order,
        }
    }
}

#[test]
fn in_no_second_more_renewals_begin_than_the_rate_says_and_no_time_is_wasted() {
    for per_second in [1, 2, 7, 10, 95, 200, 1000, 5000] {
        let mut queue = queue(per_second);
        for hub_id in 0..i64::from(per_second) * 3 {
            queue.join_ahead(hub(hub_id), START);
        }
        let begun = admit_all(&mut queue, START);
        for (index, (_, moment)) in begun.iter().enumerate() {
            let within = |time: Duration| {
                begun[..=index].iter().filter(|(_, earlier)| moment.since(*earlier) < time).count()
            };
            assert!(within(SECOND) <= per_second as usize, "{per_second} {index}");
            assert!(within(SECOND / 10) <= (per_second as usize).div_ceil(10), "{per_second} {index}");
        }
        assert!(begun.last().unwrap().1.since(START) <= SECOND * 3, "{per_second}");
    }
}

#[test]
fn the_run_whose_token_expires_soonest_is_first_but_one_that_a_caller_waits_for_is_before_it() {
    let mut queue = queue(1000);
    for (hub_id, deadline) in [(1, 300), (2, 100), (3, 200), (4, 400)] {
        queue.join_ahead(hub(hub_id), at(deadline));
    }
    assert!(queue.prioritize(hub(4)).is_some());
    assert_eq!(queue.admission(hub(2), START), Admission::Wait(Wait::UntilWoken));
    let order: Vec<_> = admit_all(&mut queue, START).into_iter().map(|(hub_id, _)| hub_id).collect();
    assert_eq!(order, [4, 2, 3, 1]);
    assert!(queue.prioritize(hub(4)).is_none(), "it does not wait any more");
}

/// The builder's documentation: "Renewals that a caller waits for begin before them."
#[test]
fn the_run_of_a_caller_is_before_those_ahead_of_time_even_if_its_token_lives_longer() {
    let mut queue = queue(1);
    queue.join_ahead(hub(1), at(100));
    queue.join(hub(2), Purpose::Caller, Deadline::At(at(9000)), ());
    queue.join(hub(3), Purpose::Caller, Deadline::Now, ());
    assert_eq!(queue.admission(hub(1), START), Admission::Wait(Wait::UntilWoken));
    assert_eq!(queue.admission(hub(3), START), Admission::Begin);
    assert_eq!(queue.admission(hub(2), at(1000)), Admission::Begin);
    assert_eq!(queue.admission(hub(1), at(2000)), Admission::Begin);
}

#[test]
fn a_caller_who_can_have_the_old_token_waits_only_after_that_has_expired() {
    let mut queue = queue(1);
    queue.join(hub(1), Purpose::Caller, Deadline::At(at(500)), ());
    assert_eq!(queue.admission(hub(1), START), Admission::Begin, "nobody is before it");
    queue.join(hub(2), Purpose::Caller, Deadline::At(at(500)), ());
    queue.prioritize(hub(2));
    assert_eq!(queue.admission(hub(2), at(499)), Admission::Skip, "the rate is used up");
    assert_eq!(queue.admission(hub(2), at(500)), Admission::Wait(Wait::For(SECOND / 2)));
    queue.join_ahead(hub(3), at(9000));
    assert_eq!(
        queue.admission(hub(3), at(500)),
        Admission::Wait(Wait::UntilWoken),
        "ahead of time there is time to wait"
    );
}

#[test]
fn a_run_that_is_prioritized_before_it_joins_is_first_when_it_joins_and_only_once() {
    let mut queue = queue(1000);
    queue.join_ahead(hub(1), at(100));
    assert!(queue.prioritize(hub(2)).is_none());
    queue.join_ahead(hub(2), at(200));
    assert_eq!(queue.admission(hub(1), START), Admission::Wait(Wait::UntilWoken));
    assert_eq!(queue.admission(hub(2), START), Admission::Begin);
    queue.join_ahead(hub(2), at(200));
    assert_eq!(queue.admission(hub(2), START), Admission::Wait(Wait::UntilWoken));
    queue.prioritize(hub(3));
    queue.leave(hub(3));
    queue.join_ahead(hub(3), at(300));
    assert_eq!(queue.admission(hub(3), START), Admission::Wait(Wait::UntilWoken), "its run had ended");
}

#[test]
fn an_account_is_renewed_when_no_caller_waits_and_within_the_rate() {
    let mut queue = queue(1);
    queue.push(hub(9), Purpose::Ahead, at(0));
    queue.join(hub(1), Purpose::Caller, Deadline::Now, ());
    assert_eq!(queue.next(START), Err(Wait::UntilWoken));
    assert_eq!(queue.admission(hub(1), START), Admission::Begin);
    assert_eq!(queue.next(START), Err(Wait::For(SECOND)));
    assert_eq!(queue.work(at(1000)), Ok(9));
    queue.join(hub(1), Purpose::Caller, Deadline::Now, ());
    assert_eq!(
        queue.admission(hub(1), at(1000)),
        Admission::Wait(Wait::For(SECOND)),
        "the worker's renewal counts"
    );
    queue.push(hub(9), Purpose::Ahead, at(0));
    _ = queue.close().count();
    assert_eq!(queue.next(at(9000)), Ok(None));
}

#[test]
fn a_right_that_is_given_back_may_be_used_at_once_and_only_once() {
    let mut queue = queue(1);
    let push = |queue: &mut RenewalQueue<()>| _ = queue.push(hub(9), Purpose::Ahead, at(0));
    push(&mut queue);
    let Ok(Some(admitted)) = queue.next(START) else { panic!() };
    queue.give_back(admitted.account);
    queue.give_back(admitted.account);
    push(&mut queue);
    assert_eq!(queue.work(at(1)), Ok(9));
    push(&mut queue);
    assert_eq!(queue.work(at(1)), Err(Some(SECOND)));
    queue.give_back(admitted.account);
    assert_eq!(queue.work(at(1)), Err(Some(SECOND)), "the renewal that began since is another one");
}

/// Its tokens were saved too late, and it looks whether another run renews them.
#[test]
fn a_run_that_has_sent_a_refresh_does_not_wait_for_itself() {
    let mut queue = queue_in_flight(1);
    for _ in 0..2 {
        queue.join_ahead(hub(1), at(100));
        assert_eq!(queue.admission(hub(1), START), Admission::Begin);
    }
    queue.join_ahead(hub(2), at(200));
    assert_eq!(queue.admission(hub(2), START), Admission::Wait(Wait::UntilWoken));
}

/// Another replica may have renewed the account meanwhile. The rate counts what HubSpot sees.
#[test]
fn a_renewal_that_sends_nothing_does_not_count_for_the_rate() {
    let mut queue = queue(1);
    for (sends, next) in [(false, Admission::Begin), (true, Admission::Wait(Wait::For(SECOND)))] {
        queue.join_ahead(hub(1), at(100));
        assert!(matches!(queue.admit(hub(1), START, true), Ok(Input::Admit { .. })));
        assert!(!sends || queue.before_send(hub(1), START).is_none());
        queue.join_ahead(hub(2), at(200));
        assert!(matches!(queue.admission(hub(2), START), Admission::Wait(Wait::For(_))), "it may still send");
        assert!(queue.end(hub(1)).is_some(), "the next one is woken");
        assert_eq!(queue.admission(hub(2), START), next);
        queue.end(hub(2));
        queue = self::queue(1);
    }
}

#[test]
fn a_run_that_leaves_makes_way_for_the_next_and_one_that_has_not_joined_may_begin() {
    let mut queue = queue(1);
    queue.join_ahead(hub(1), at(0));
    queue.join_ahead(hub(2), at(1));
    assert_eq!(queue.admission(hub(2), START), Admission::Wait(Wait::UntilWoken));
    assert!(queue.leave(hub(1)).is_some());
    assert_eq!(queue.admission(hub(2), START), Admission::Begin);
    assert!(queue.leave(hub(2)).is_none());
    assert_eq!(queue.admission(hub(3), START), Admission::Begin);
}

/// RENEWAL.md, rule 7.
#[test]
fn a_clock_that_was_set_back_makes_no_run_wait() {
    let mut queue = queue(1);
    queue.join_ahead(hub(1), at(0));
    assert_eq!(queue.admission(hub(1), at(1_000_000)), Admission::Begin);
    queue.join_ahead(hub(2), at(0));
    assert_eq!(queue.admission(hub(2), START), Admission::Begin);
}

#[test]
fn in_a_closed_queue_no_run_may_begin_and_no_account_is_added() {
    let mut queue = queue(1);
    queue.join_ahead(hub(1), at(0));
    queue.join_ahead(hub(2), at(0));
    queue.push(hub(3), Purpose::Ahead, at(0));
    assert_eq!(queue.close().count(), 2);
    assert_eq!(queue.admission(hub(1), START), Admission::ShuttingDown);
    assert_eq!(queue.admission(hub(2), START), Admission::ShuttingDown);
    assert!(!queue.push(hub(4), Purpose::Ahead, at(0)));
    assert_eq!(queue.entries.len(), 2);
}

/// The builder's documentation: "in the order in which their tokens expire".
#[test]
fn accounts_are_renewed_in_the_order_in_which_their_tokens_expire_with_a_rate_and_without() {
    for per_second in [0, 1, 100] {
        let mut queue = queue(per_second);
        for (hub_id, deadline) in [(1, 300), (2, 100), (3, 200), (4, 100)] {
            queue.push(hub(hub_id), Purpose::Ahead, at(deadline));
        }
        assert_eq!(work_all(&mut queue), [2, 4, 3, 1], "{per_second}");
        assert!(queue.entries.is_empty());
    }
}

#[test]
fn an_account_that_is_added_while_others_wait_is_before_those_that_expire_later() {
    let mut queue = queue(1);
    (1..=20).for_each(|hub_id| _ = queue.push(hub(hub_id), Purpose::Ahead, at(300)));
    assert!(queue.work(START).is_ok());
    assert!(matches!(queue.work(START), Err(Some(_))));
    queue.push(hub(99), Purpose::Ahead, START);
    assert_eq!(work_all(&mut queue).first(), Some(&99));
}

#[test]
fn an_account_that_is_added_again_waits_once_with_its_new_deadline() {
    let mut queue = queue(0);
    queue.push(hub(1), Purpose::Ahead, at(300));
    queue.push(hub(2), Purpose::Ahead, at(200));
    queue.push(hub(1), Purpose::Ahead, at(100));
    assert_eq!(work_all(&mut queue), [1, 2]);
}

#[test]
fn no_more_workers_are_started_than_may_run_at_once() {
    let mut queue = queue(0);
    let started = (0..20).filter(|hub_id| queue.push(hub(*hub_id), Purpose::Ahead, START)).count();
    assert_eq!(started, MAX_WORKERS);
    assert_eq!(work_all(&mut queue).len(), 20);
    assert!(queue.push(hub(1), Purpose::Ahead, START), "the worker that found the queue empty has ended");
    assert!(!queue.push(hub(2), Purpose::Ahead, START));
}

#[test]
fn no_more_renewals_are_in_flight_than_the_limit_says_and_callers_are_first() {
    let mut queue = queue_in_flight(2);
    for hub_id in 1..=3 {
        queue.join_ahead(hub(hub_id), at(300));
    }
    assert_eq!(queue.admission(hub(1), START), Admission::Begin);
    assert_eq!(queue.admission(hub(2), START), Admission::Begin);
    assert_eq!(queue.admission(hub(3), START), Admission::Wait(Wait::UntilWoken));
    queue.join(hub(4), Purpose::Caller, Deadline::Now, ());
    queue.join(hub(5), Purpose::Caller, Deadline::At(at(300)), ());
    assert_eq!(queue.admission(hub(5), START), Admission::Skip, "it can have the old token");
    queue.end(hub(5));
    assert_eq!(queue.admission(hub(4), START), Admission::Wait(Wait::UntilWoken));
    assert!(queue.end(hub(1)).is_some());
    assert_eq!(queue.admission(hub(3), START), Admission::Wait(Wait::UntilWoken));
    assert_eq!(queue.admission(hub(4), START), Admission::Begin);
    queue.end(hub(9));
    assert_eq!(queue.admission(hub(3), START), Admission::Wait(Wait::UntilWoken), "it was not in flight");
    queue.end(hub(4));
    assert_eq!(queue.admission(hub(3), START), Admission::Begin);
}

#[test]
fn a_run_that_sleeps_without_a_lease_makes_way_for_another_and_is_admitted_anew() {
    let mut queue = queue_in_flight(1);
    queue.join(hub(1), Purpose::Caller, Deadline::Now, ());
    queue.join(hub(2), Purpose::Caller, Deadline::Now, ());
    assert_eq!(queue.admission(hub(1), START), Admission::Begin);
    assert_eq!(queue.admission(hub(2), START), Admission::Wait(Wait::UntilWoken));
    assert!(queue.give_back(hub(1)).is_some(), "the next one is woken");
    assert_eq!(queue.admission(hub(2), START), Admission::Begin);
    queue.join(hub(1), Purpose::Caller, Deadline::Now, ());
    assert_eq!(queue.admission(hub(1), START), Admission::Wait(Wait::UntilWoken));
}

#[test]
fn the_renewals_of_workers_are_in_flight_too() {
    let mut queue = queue_in_flight(1);
    queue.push(hub(1), Purpose::Ahead, at(300));
    queue.push(hub(2), Purpose::Ahead, at(300));
    let Ok(Some(admitted)) = queue.next(START) else { panic!() };
    assert!(!queue.push(admitted.account, Purpose::Ahead, at(300)), "it is being renewed");
    assert_eq!(queue.next(START), Err(Wait::UntilWoken));
    queue.join(hub(3), Purpose::Caller, Deadline::Now, ());
    assert_eq!(queue.admission(hub(3), START), Admission::Wait(Wait::UntilWoken));
    assert!(queue.give_back(admitted.account).is_some());
    assert_eq!(queue.admission(hub(3), START), Admission::Begin);
    queue.end(hub(3));
    assert_eq!(queue.work(START), Ok(2));
}

#[test]
fn in_a_pause_nothing_begins_and_a_caller_learns_how_long_it_is() {
    let mut queue = queue_in_flight(64);
    queue.join(hub(1), Purpose::Caller, Deadline::Now, ());
    queue.join_ahead(hub(2), at(3000));
    queue.push(hub(3), Purpose::Ahead, at(3000));
    let woken = queue.note_response(Some(hub(9)), &rate_limit(10), START).map(Iterator::count);
    assert_eq!(woken, Some(1), "the caller");
    assert!(queue.note_response(Some(hub(8)), &rate_limit(10), START).is_none(), "they know");
    assert_eq!(queue.admission(hub(1), START), Admission::Paused(SECOND * 10));
    queue.end(hub(1));
    assert_eq!(queue.admission(hub(2), at(4000)), Admission::Wait(Wait::For(SECOND * 6)));
    queue.join(hub(4), Purpose::Caller, Deadline::At(at(9000)), ());
    assert_eq!(queue.admission(hub(4), START), Admission::Skip, "it can have the old token");
    queue.end(hub(4));
    let pause = |queue: &mut RenewalQueue<()>, now| match queue.before_send(hub(2), now) {
        Some(Input::Paused { wait, cause: RetryCause::RateLimited }) => wait,
        None => Duration::ZERO,
        other => panic!("{other:?}"),
    };
    assert_eq!(pause(&mut queue, at(9999)), Duration::from_millis(1));
    assert_eq!(pause(&mut queue, at(10_000)), Duration::ZERO);
    assert_eq!(queue.admission(hub(2), at(10_000)), Admission::Begin);
    assert_eq!(queue.work(at(10_000)), Ok(3));
}

#[test]
fn a_caller_who_joins_a_run_that_waits_for_the_end_of_a_pause_does_not_wait_for_it() {
    let mut queue = queue_in_flight(64);
    queue.note_response(None, &rate_limit(10), START).map(Iterator::count);
    queue.join_ahead(hub(1), at(300));
    queue.join_ahead(hub(2), at(300));
    assert_eq!(queue.admission(hub(2), START), Admission::Wait(Wait::UntilWoken));
    assert!(queue.prioritize(hub(2)).is_some(), "it is woken");
    assert_eq!(queue.admission(hub(2), at(299)), Admission::Skip);
    queue.end(hub(2));
    queue.join_ahead(hub(2), at(300));
    queue.prioritize(hub(2));
    assert_eq!(queue.admission(hub(2), at(1000)), Admission::Paused(SECOND * 9));
}

#[test]
fn in_an_outage_one_renewal_is_tried_at_a_time_and_those_that_wait_share_its_failure() {
    let mut queue = queue_in_flight(64);
    (0..5).for_each(|_| _ = queue.note_response(None, &unavailable(), START).map(Iterator::count));
    for hub_id in 1..=4 {
        queue.join(hub(hub_id), Purpose::Caller, Deadline::Now, ());
    }
    queue.join_ahead(hub(5), at(300));
    assert_eq!(queue.admission(hub(1), START), Admission::Begin);
    assert_eq!(queue.admission(hub(2), START), Admission::Wait(Wait::UntilWoken));
    let woken = queue.note_response(Some(hub(1)), &unavailable(), START).map(Iterator::count);
    assert_eq!(woken, Some(3), "the callers, and not the run ahead of time");
    assert!(matches!(queue.admission(hub(2), START), Admission::Paused(_)));
    assert!(matches!(queue.admission(hub(3), START), Admission::Paused(_)));
    (1..=3).for_each(|hub_id| _ = queue.end(hub(hub_id)));
    queue.join(hub(6), Purpose::Caller, Deadline::Now, ());
    assert!(matches!(queue.admission(hub(4), START), Admission::Paused(_)), "it has not left yet");
    queue.end(hub(4));
    assert_eq!(queue.admission(hub(6), START), Admission::Begin, "the next try");
    for hub_id in [4, 7] {
        queue.join(hub(hub_id), Purpose::Caller, Deadline::At(START), ());
    }
    let woken = queue.note_response(Some(hub(6)), &Ok(()), START).map(Iterator::count);
    assert_eq!(woken, Some(2), "the callers, and the end of each wakes the next one");
    for hub_id in [4, 7, 5] {
        assert_eq!(queue.admission(hub(hub_id), START), Admission::Begin);
    }
}

/// Each try that fails makes the account's callers wait, too.
#[test]
fn in_an_outage_the_sweep_tries_an_account_a_minute_unless_a_caller_does_and_after_it_all_that_are_due() {
    let mut queue = queue_in_flight(64);
    let fail = |queue: &mut RenewalQueue<()>, account| {
        let _ = queue.note_response(account, &unavailable(), START).map(Iterator::count);
        account.map(|account| queue.end(account));
    };
    (0..5).for_each(|_| fail(&mut queue, None));
    for hub_id in 1..=4 {
        queue.join(hub(hub_id), Purpose::Sweep, Deadline::Now, ());
    }
    queue.push(hub(5), Purpose::Sweep, at(9000));
    let wait = |seconds| Admission::Wait(Wait::For(SECOND * seconds));
    assert_eq!(queue.admission(hub(1), START), Admission::Begin);
    fail(&mut queue, Some(hub(1)));
    assert_eq!(queue.admission(hub(2), START), wait(60));
    assert_eq!(queue.admission(hub(2), at(59_000)), wait(1));
    queue.join(hub(9), Purpose::Caller, Deadline::Now, ());
    assert_eq!(queue.admission(hub(9), at(59_000)), Admission::Begin, "a caller does not wait");
    fail(&mut queue, Some(hub(9)));
    assert_eq!(queue.admission(hub(2), at(60_000)), wait(59));
    assert_eq!(queue.admission(hub(2), at(119_000)), Admission::Begin);
    fail(&mut queue, Some(hub(2)));
    queue.prioritize(hub(3));
    let paused = Admission::Paused(SECOND);
    assert_eq!(
        queue.admission(hub(3), at(119_000)),
        paused,
        "a caller has joined it and learns of the outage"
    );
    queue.end(hub(3));
    queue.join(hub(3), Purpose::Caller, Deadline::Now, ());
    assert_eq!(queue.admission(hub(3), at(119_000)), Admission::Begin);
    let woken = queue.note_response(Some(hub(3)), &Ok(()), START).map(Iterator::count);
    assert_eq!(woken, Some(1));
    assert_eq!(queue.admission(hub(4), at(119_000)), Admission::Begin);
    assert_eq!(queue.work(at(119_000)), Ok(5));
}

/// RENEWAL.md, rule 7.
#[test]
fn a_clock_that_was_set_back_does_not_keep_the_sweep_from_trying_in_an_outage() {
    let mut queue = queue_in_flight(64);
    (0..5).for_each(|_| _ = queue.note_response(None, &unavailable(), START).map(Iterator::count));
    for (hub_id, now) in [(1, at(1_000_000)), (2, START)] {
        queue.join(hub(hub_id), Purpose::Sweep, Deadline::Now, ());
        assert_eq!(queue.admission(hub(hub_id), now), Admission::Begin);
        queue.end(hub(hub_id));
    }
}

#[test]
fn below_its_limits_no_run_has_to_wait() {
    let mut queue = queue_in_flight(2);
    for hub_id in 1..=2 {
        queue.join(hub(hub_id), Purpose::Ahead, Deadline::Now, ());
        assert_eq!(queue.admission(hub(hub_id), START), Admission::Begin);
    }
    assert!(queue.entries.is_empty());
}

#[test]
fn the_sweep_comes_after_all_others_and_moves_up_when_the_account_is_used() {
    let mut queue = queue_in_flight(1);
    queue.push(hub(1), Purpose::Sweep, START);
    queue.push(hub(2), Purpose::Ahead, at(9000));
    queue.push(hub(3), Purpose::Sweep, at(1));
    queue.push(hub(3), Purpose::Ahead, at(9500));
    queue.push(hub(2), Purpose::Sweep, START);
    let mut order = Vec::new();
    while let Ok(Some(admitted)) = queue.next(START) {
        order.push(admitted.account.hub_id);
        queue.end(admitted.account);
    }
    assert_eq!(order, [2, 3, 1]);
}

#[test]
fn a_run_of_the_sweep_waits_for_the_end_of_a_pause_as_one_ahead_of_time_does() {
    for purpose in [Purpose::Ahead, Purpose::Sweep] {
        let mut queue = queue_in_flight(1);
        let _ = queue.note_response(None, &rate_limit(5), START);
        queue.join(hub(1), purpose, Deadline::Now, ());
        assert!(matches!(queue.admit(hub(1), START, false), Err(Wait::For(_))), "{purpose:?}");
    }
}

/// Eight processes begin together as many renewals as one would, and at most a fifth more in any second.
#[test]
fn replicas_share_a_rate() {
    for rate in [40, 100, 200, 1000] {
        let limits = Limits {
            per_second: NonZeroU32::new(rate),
            replicas: NonZeroU32::new(8).unwrap(),
            in_flight: NonZeroU32::MAX,
        };
        let mut queues: Vec<RenewalQueue<()>> = (0..8).map(|_| RenewalQueue::new(limits)).collect();
        let mut begun = Vec::new();
        for millisecond in 0..20_000 {
            let now = at(millisecond);
            for (queue, process) in queues.iter_mut().zip(0..) {
                // More wait than may begin, all the time.
                let account = hub(i64::try_from(millisecond).unwrap() * 8 + process + 1);
                queue.push(account, Purpose::Ahead, now);
                while let Ok(Some(admitted)) = queue.next(now) {
                    assert!(queue.before_send(admitted.account, now).is_none());
                    queue.end(admitted.account);
                    begun.push(millisecond);
                }
            }
        }
        let total = begun.len() as f64 / 20.0 / f64::from(rate);
        assert!((0.95..=1.05).contains(&total), "{rate}: {total} of the rate");
        let in_second = |from: u64| begun.iter().filter(|at| (from..from + 1000).contains(*at)).count();
        let most = (0..19_000).step_by(50).map(in_second).max().unwrap();
        assert!(most as f64 <= f64::from(rate) * 1.2, "{rate}: {most} in a second");
    }
}
