//! Is a history of store calls one that a correct store can have? The search for an order is `todc-utils`' (Wing and Gong's
//! algorithm, extended by Lowe). What a store is, and where a history is cut, is here.
//!
//! A history is *linearizable* if each call can be said to have taken effect at one moment between its begin and its end, so
//! that the calls in the order of these moments are what one store without any concurrency would have answered. Accounts are
//! independent of each other, so each account has a history of its own.
//!
//! # Calls with an unknown outcome
//!
//! A load whose outcome nobody knows says nothing and is left out. A write whose outcome nobody knows may take effect at any moment
//! after its begin, or never. It is a call that ends after all others, and that has no effect after the call `End`. The version that it
//! would write is unknown, too: the register then holds its content under a version greater than all before, until a call shows
//! which one.
//!
//! # Where a history is cut
//!
//! The search takes a time that grows faster than the history, so a history of an account is cut into chunks. It is cut after a call
//! that ran alone and that shows what the register holds: a load of version v, or a swap that stored version v. *Alone* means that of the
//! calls with a known outcome none overlaps it. A write with an unknown outcome that has begun before goes into the chunk before the cut if it
//! expects a version less than v, and else into the chunk after it.
//!
//! The chunks are linearizable, each from where the one before ended, if and only if the whole history is:
//! - Known calls before the cut come before the call at the cut in every order, and those after it come after it. There the register
//!   holds version v with the content that the call shows. So the known calls of each chunk are ordered among themselves.
//! - Every write needs a version greater than all before it; the search sees to that, also across the cut, since a chunk begins with
//!   version v. So a write that expects less than v can have taken effect before the cut only. And one that expects v or more
//!   cannot have taken effect before it, or the register would hold another version at the cut.
//! - A write that expects no record is of neither kind if the account has removals. Then nothing is cut while such a write is unknown.
//!   Without removals it can have taken effect before the cut only.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use hs_oauth_async::Account;
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

use crate::history::{Call, Content, Operation, Outcome};

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) operations: usize,
    /// Writes with an unknown outcome.
    pub(crate) unknown: usize,
    pub(crate) accounts: usize,
    pub(crate) chunks: usize,
    /// The number of calls in the largest chunk.
    pub(crate) largest_chunk: usize,
}

/// Why a history is not accepted.
#[derive(Debug)]
pub(crate) struct Violation {
    account: Account,
    reason: &'static str,
    /// The calls among which it is, as they were searched.
    calls: Vec<Operation>,
}

/// A chunk is cut at the first possible place after this many calls.
const MIN_CHUNK: usize = 24;

/// The search over a chunk of more calls would take too long. Such a history is refused, and not waved through.
const MAX_CHUNK: usize = 4000;

/// Checks the history of each account.
pub(crate) fn check(operations: &[Operation]) -> Result<Checked, Violation> {
    check_in_chunks(operations, MIN_CHUNK)
}

fn check_in_chunks(operations: &[Operation], min_chunk: usize) -> Result<Checked, Violation> {
    let mut checked = Checked { operations: operations.len(), ..Checked::default() };
    let mut accounts: BTreeMap<Account, Vec<Operation>> = BTreeMap::new();
    for operation in operations {
        if operation.call != Call::Load || operation.outcome != Outcome::Unknown {
            accounts.entry(operation.account).or_default().push(operation.clone());
        }
        checked.unknown += usize::from(operation.call != Call::Load && operation.outcome == Outcome::Unknown);
    }
    checked.accounts = accounts.len();
    for (account, operations) in accounts {
        for chunk in cut(operations, min_chunk) {
            checked.chunks += 1;
            checked.largest_chunk = checked.largest_chunk.max(chunk.calls.len());
            let refuse = |reason, calls| Violation { account, reason, calls };
            if chunk.calls.len() > MAX_CHUNK {
                return Err(refuse("too many calls overlap to be searched", Vec::new()));
            }
            if !WGLChecker::<Register>::is_linearizable(chunk.history()) {
                return Err(refuse("no order of these calls explains their outcomes", chunk.calls));
            }
        }
    }
    Ok(checked)
}

/// A part of an account's history, and what the register holds before it.
struct Chunk {
    before: State,
    /// In the order of their begins. Those with an unknown outcome that began before the chunk come first.
    calls: Vec<Operation>,
}

/// Cuts an account's history into chunks of `min_chunk` calls or more. The reasons are at the top of this file.
fn cut(mut operations: Vec<Operation>, min_chunk: usize) -> Vec<Chunk> {
    operations.sort_by_key(|operation| operation.begin);
    let has_removals = operations.iter().any(|operation| matches!(operation.call, Call::Remove { .. }));
    let mut chunks = Vec::new();
    let mut chunk = Chunk { before: State::unwitnessed(), calls: Vec::new() };
    // When the known calls before this one have ended.
    let mut ended = 0;
    let mut following = operations.iter().filter(|operation| operation.end.is_some()).skip(1);
    for operation in &operations {
        chunk.calls.push(operation.clone());
        let Some(end) = operation.end else { continue };
        let begins_alone = operation.begin > ended;
        ended = ended.max(end);
        let next_begins = following.next().map_or(u64::MAX, |next| next.begin);
        let is_alone = begins_alone && end < next_begins;
        let Some(after) = State::shown_by(operation).filter(|_| is_alone) else { continue };
        if chunk.calls.len() < min_chunk {
            continue;
        }
        let is_unknown = |call: &Operation| call.outcome == Outcome::Unknown;
        if has_removals && chunk.calls.iter().any(|call| is_unknown(call) && expected(call).is_none()) {
            continue;
        }
        let is_later = |call: &Operation| {
            is_unknown(call) && expected(call).is_some_and(|version| version >= after.floor)
        };
        let (later, calls) = chunk.calls.into_iter().partition(is_later);
        chunks.push(Chunk { before: chunk.before, calls });
        chunk = Chunk { before: after, calls: later };
    }
    chunks.push(chunk);
    chunks
}

/// Returns the version that a write expects.
fn expected(operation: &Operation) -> Option<u64> {
    match operation.call {
        Call::Load => None,
        Call::Swap { expected, .. } => expected,
        Call::Remove { expected } => Some(expected),
    }
}

impl Chunk {
    /// Returns the chunk as the search takes it: begins and ends in their order, between a call that sets the register and one that ends
    /// its use.
    fn history(&self) -> History<RegisterCall> {
        // At the same moment begins come before ends, since calls that only touch may have overlapped.
        const BEGIN: u8 = 0;
        const END: u8 = 1;
        let mut moments = Vec::new();
        let mut unknown = Vec::new();
        for (number, operation) in self.calls.iter().enumerate() {
            let number = number + 2;
            moments.push((operation.begin, BEGIN, number, operation));
            match operation.end {
                Some(end) => moments.push((end, END, number, operation)),
                None => unknown.push((number, operation)),
            }
        }
        moments.sort_by_key(|(at, kind, ..)| (*at, *kind));
        // Each call is a process of its own, for its end to be found.
        let set = RegisterCall::Set(self.before);
        let mut actions = vec![(0, Action::Call(set)), (0, Action::Response(set))];
        actions.extend(moments.into_iter().map(|(_, kind, number, operation)| {
            let call = RegisterCall::Store(operation.call, operation.outcome);
            (number, if kind == BEGIN { Action::Call(call) } else { Action::Response(call) })
        }));
        let end = RegisterCall::End;
        actions.extend([(1, Action::Call(end)), (1, Action::Response(end))]);
        actions.extend(unknown.into_iter().map(|(number, operation)| {
            (number, Action::Response(RegisterCall::Store(operation.call, operation.outcome)))
        }));
        History::from_actions(actions)
    }
}

/// What a store is for one account: a register with versions.
struct Register;

/// A call of the register, with its outcome.
#[derive(Clone, Copy, Debug)]
enum RegisterCall {
    /// Sets the register, at the begin of a chunk.
    Set(State),
    Store(Call, Outcome),
    /// Ends the use of the register: what takes effect later has no effect.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    held: Held,
    /// The greatest version so far that is known. The next one must be greater.
    floor: u64,
    has_ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Held {
    /// Nobody has looked yet: the store may have records of an earlier time.
    Unwitnessed,
    Nothing,
    Record {
        version: u64,
        content: Content,
    },
    /// Written by a call with an unknown outcome, under a version that nobody has seen yet. It is greater than the floor.
    Unseen {
        content: Content,
    },
}

impl State {
    const fn unwitnessed() -> Self {
        Self { held: Held::Unwitnessed, floor: 0, has_ended: false }
    }

    /// Returns what the register holds after a call that shows it.
    fn shown_by(operation: &Operation) -> Option<Self> {
        match (operation.call, operation.outcome) {
            (_, Outcome::Loaded { version, content })
            | (Call::Swap { written: content, .. }, Outcome::Stored { version }) => {
                Some(Self::unwitnessed().with(version, content))
            }
            _ => None,
        }
    }

    fn with(self, version: u64, content: Content) -> Self {
        Self { held: Held::Record { version, content }, floor: version, ..self }
    }

    /// Returns whether the register may have the version that a write expects. `None` is no record.
    fn may_have(self, expected: Option<u64>) -> bool {
        match self.held {
            Held::Unwitnessed => true,
            Held::Nothing => expected.is_none(),
            Held::Record { version, .. } => expected == Some(version),
            Held::Unseen { .. } => expected > Some(self.floor),
        }
    }

    /// Returns whether the register may have another version than a write expects.
    fn may_not_have(self, expected: Option<u64>) -> bool {
        matches!(self.held, Held::Unwitnessed | Held::Unseen { .. }) || !self.may_have(expected)
    }

    /// Returns the state after a write that nobody has seen yet.
    fn after_unseen(self, call: Call) -> Self {
        // The register had the version that the write expected.
        let floor = self.floor.max(match call {
            Call::Swap { expected, .. } => expected.unwrap_or(0),
            Call::Remove { expected } => expected,
            Call::Load => 0,
        });
        match call {
            Call::Swap { written: content, .. } => Self { held: Held::Unseen { content }, floor, ..self },
            Call::Remove { .. } => Self { held: Held::Nothing, floor, ..self },
            Call::Load => self,
        }
    }

    /// Returns the state after a call with this outcome, or `None` if the call cannot have this outcome now.
    fn after(self, call: Call, outcome: Outcome) -> Option<Self> {
        let is_newer = |version| version > self.floor;
        match (call, outcome) {
            (Call::Load, Outcome::Loaded { version, content }) => match self.held {
                Held::Unwitnessed => Some(self.with(version, content)),
                Held::Nothing => None,
                Held::Record { .. } => (self.with(version, content) == self).then_some(self),
                Held::Unseen { content: written } => {
                    (is_newer(version) && content == written).then(|| self.with(version, content))
                }
            },
            (Call::Load, Outcome::Nothing) => matches!(self.held, Held::Unwitnessed | Held::Nothing)
                .then_some(Self { held: Held::Nothing, ..self }),
            (Call::Swap { expected, written }, Outcome::Stored { version }) => {
                let is_possible = self.may_have(expected) && is_newer(version) && Some(version) > expected;
                is_possible.then(|| self.with(version, written))
            }
            (Call::Remove { expected }, Outcome::Removed) => {
                self.may_have(Some(expected)).then(|| self.after_unseen(call))
            }
            (Call::Swap { expected, .. }, Outcome::Conflict) => self.may_not_have(expected).then_some(self),
            (Call::Remove { expected }, Outcome::Conflict) => {
                self.may_not_have(Some(expected)).then_some(self)
            }
            (Call::Swap { expected, .. }, Outcome::Unknown) => self.may_write_unseen(expected, call),
            (Call::Remove { expected }, Outcome::Unknown) => self.may_write_unseen(Some(expected), call),
            // No store answers so.
            _ => None,
        }
    }

    /// Returns the state after a write with an unknown outcome, which takes effect here, or has none since the use of the register is over.
    fn may_write_unseen(self, expected: Option<u64>, call: Call) -> Option<Self> {
        if self.has_ended {
            return Some(self);
        }
        self.may_have(expected).then(|| self.after_unseen(call))
    }
}

impl Specification for Register {
    type State = State;
    type Operation = RegisterCall;

    fn init() -> State {
        State::unwitnessed()
    }

    fn apply(call: &RegisterCall, state: &State) -> (bool, State) {
        let after = match *call {
            RegisterCall::Set(state) => Some(state),
            RegisterCall::End => Some(State { has_ended: true, ..*state }),
            RegisterCall::Store(call, outcome) => state.after(call, outcome),
        };
        (after.is_some(), after.unwrap_or(*state))
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operations, unknown, accounts, chunks, largest_chunk } = self;
        write!(
            f,
            "the history is linearizable: {operations} calls of {accounts} accounts, {unknown} writes with an unknown outcome, \
             in {chunks} chunks of at most {largest_chunk} calls"
        )
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store is not linearizable for account {}: {}", self.account, self.reason)?;
        let mut text = String::new();
        for call in &self.calls {
            let line = serde_json::to_string(call).map_err(|_| fmt::Error)?;
            writeln!(text, "    {line}")?;
        }
        if !text.is_empty() {
            write!(f, "\n{}", text.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
