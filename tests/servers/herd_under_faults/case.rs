//! What happens during a run.

use std::fmt;

use hs_oauth_test_servers::site::Fault;

/// What happens during a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// Nothing. The others are compared with it.
    None,
    /// A fault, once or several times.
    Fault(Fault),
    /// Processes of the herd are killed.
    Killed,
    /// Every fault that loses nothing, in turn, while processes of the herd are killed.
    All,
}

impl Case {
    /// Returns all cases.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let faults = Fault::ALL.into_iter().map(Self::Fault);
        [Self::None].into_iter().chain(faults).chain([Self::Killed, Self::All])
    }

    /// Returns the name of the case on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Fault(Fault::ConnectionsEnded) => "connections-ended",
            Self::Fault(Fault::Frozen) => "frozen",
            Self::Fault(Fault::Crash) => "crash",
            Self::Fault(Fault::Restart) => "restart",
            Self::Fault(Fault::Reset) => "reset",
            Self::Fault(Fault::Stalled) => "stalled",
            Self::Fault(Fault::AnswersLost) => "answers-lost",
            Self::Fault(Fault::Dead) => "dead",
            Self::Fault(Fault::NewDeadToo) => "new-dead-too",
            Self::Fault(Fault::Failover) => "failover",
            Self::Fault(Fault::LossyFailover) => "lossy-failover",
            Self::Killed => "killed",
            Self::All => "all",
        }
    }

    /// Returns how long the herd runs, if a run is to take so long. Every fault in turn takes its time.
    pub(crate) fn seconds(self, seconds: u32) -> u32 {
        match self {
            Self::All => seconds.max(60),
            _ => seconds,
        }
    }

    /// Returns the faults that happen one after the other, evenly spread.
    pub(crate) fn faults(self) -> Vec<Fault> {
        match self {
            Self::None | Self::Killed => Vec::new(),
            Self::Fault(fault) => vec![fault; times(fault)],
            Self::All => Fault::that_lose_nothing().collect(),
        }
    }

    /// Returns whether processes of the herd are killed.
    pub(crate) fn kills(self) -> bool {
        matches!(self, Self::Killed | Self::All)
    }

    /// Returns whether the server loses writes that it has acknowledged.
    pub(crate) fn loses_writes(self) -> bool {
        self == Self::Fault(Fault::LossyFailover)
    }
}

/// Returns how often a fault happens in a run. Those that put the server out of reach for seconds happen once: with access tokens of ten
/// seconds there is time for no more.
fn times(fault: Fault) -> usize {
    match fault {
        Fault::ConnectionsEnded | Fault::Reset => 10,
        Fault::Crash => 3,
        Fault::Restart | Fault::AnswersLost | Fault::Dead => 2,
        Fault::Frozen | Fault::Stalled | Fault::NewDeadToo | Fault::Failover | Fault::LossyFailover => 1,
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
