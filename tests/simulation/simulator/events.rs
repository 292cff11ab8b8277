//! What is scheduled: the events of one schedule, and what travels in them.

use std::cmp::Ordering;

use hs_oauth_core::renewal::{Demand, GrantId, Input, Record};
use hs_oauth_core::{Introspect, Refresh, Revoke};
use http::Response;

use super::super::hubspot::Deployment;
use super::super::writer::Writer;

/// `step` is the number of the step of `run` that the event belongs to.
#[expect(clippy::large_enum_variant, reason = "few exist at once")]
pub(super) enum Event {
    /// A caller asks its process for a token.
    Ask {
        process: usize,
        task: usize,
        is_last: bool,
    },
    /// A caller stops waiting.
    Leave {
        process: usize,
        task: usize,
    },
    /// A paused process performs what it had decided before.
    Perform {
        run: usize,
        step: u32,
        action: Action,
    },
    /// A read reaches the store.
    Load {
        run: usize,
        step: u32,
    },
    /// A write reaches the store.
    Swap {
        run: usize,
        step: u32,
        swap: Swap,
        result: SwapResult,
    },
    /// A refresh reaches HubSpot.
    Request {
        run: usize,
        step: u32,
        request: Request,
    },
    /// A request for the account of an access token reaches HubSpot.
    Introspect {
        run: usize,
        step: u32,
        introspect: Introspect,
    },
    /// A revocation reaches HubSpot.
    Revoke {
        run: usize,
        step: u32,
        revoke: Revoke,
    },
    /// A result reaches the run.
    Deliver {
        run: usize,
        step: u32,
        delivery: Delivery,
    },
    /// A process begins a renewal to save the tokens that it could not save before.
    SaveAgain {
        process: usize,
    },
    Crash {
        process: usize,
    },
    /// A process is asked to end.
    ShutDown {
        process: usize,
    },
    /// It ends, whatever it has not done by then.
    ShutdownEnds {
        process: usize,
    },
    /// The sweep of a process looks what is to be done.
    Sweep {
        process: usize,
        started: u32,
    },
    /// A run that waits in the queue looks whether it may begin.
    Admit {
        run: usize,
        step: u32,
        waited: bool,
    },
    Restart {
        process: usize,
    },
    /// The clock of a process is set to another time, `by` milliseconds away.
    SetClock {
        process: usize,
        by: i64,
    },
    /// A process is replaced by one that is configured so.
    Deploy {
        process: usize,
        deployment: Deployment,
    },
    /// An operator asks a process for a renewal.
    ForceRenewal {
        process: usize,
        demand: Demand,
    },
    /// An operator asks for a renewal of a grant that is gone because of another app.
    RecheckOtherApps,
    /// From now on nothing fails.
    FaultsEnd,
    /// The store takes no writes for a while.
    ReadOnly,
    /// The customer uninstalls, disconnects or installs, or an operator imports, forgets or uninstalls.
    Operator {
        choice: u64,
    },
    /// The app's call to take itself out of the account reaches HubSpot. The run is to note it.
    Uninstall {
        run: usize,
    },
    /// The run begins, now that the response to that call is there.
    Start {
        run: usize,
    },
}

/// What a run asks for, and what takes time.
#[derive(Clone)]
pub(super) enum Action {
    Load,
    Swap(Option<u64>, Box<Record>),
    Send(Refresh),
    Introspect(Introspect),
    Revoke(Revoke),
}

/// A write on its way to the store.
pub(super) struct Swap {
    pub(super) writer: Writer,
    pub(super) expected: Option<u64>,
    pub(super) record: Box<Record>,
}

/// What the run learns of its write.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum SwapResult {
    /// The result.
    Delivered,
    /// An error, though the write takes effect if it can.
    Lost,
    /// Nothing more: the run has received an error already, and the write takes effect later if it can.
    Late,
}

/// A refresh on its way to HubSpot.
pub(super) struct Request {
    pub(super) sent_at: u64,
    pub(super) refresh: Refresh,
    pub(super) outcome: Outcome,
    pub(super) grant: Option<GrantId>,
    pub(super) deployment: Deployment,
}

/// What becomes of a refresh that reaches HubSpot.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Outcome {
    Response,
    /// HubSpot acts, and its response is lost.
    Lost,
    /// The response arrives in part.
    Truncated,
    /// HubSpot receives the request twice, and one of the two responses arrives.
    Duplicated,
    /// HubSpot acts, and its response to another account arrives.
    Crossed(Crossed),
    /// HubSpot's response names no account.
    NamesNobody,
    /// An error response, whether or not HubSpot acts.
    ErrorResponse {
        status: u16,
        acts: bool,
        retry_after: Option<u64>,
    },
}

/// What a response says that is another account's.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Crossed {
    /// It names another hub.
    OtherHub,
    /// It names another user of the hub.
    OtherUser,
    /// It names another hub, and cannot be used otherwise.
    Unreadable,
    /// It names nobody.
    NamesNobody,
}

/// What reaches a run.
#[expect(clippy::large_enum_variant, reason = "one exists at a time")]
pub(super) enum Delivery {
    Input(Input),
    /// A response to a refresh. It is read when the run goes on.
    Response(Refresh, Response<Vec<u8>>),
}

/// An event and its time. Events of the same time happen in the order in which they were scheduled.
pub(super) struct ScheduledEvent {
    pub(super) at: u64,
    pub(super) order: u64,
    /// Boxed, since the heap moves its entries.
    pub(super) event: Box<Event>,
}

impl PartialEq for ScheduledEvent {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for ScheduledEvent {}

impl PartialOrd for ScheduledEvent {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ScheduledEvent {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
