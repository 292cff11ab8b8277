//! Requests that fail on purpose. Faults wait in a queue until a matching request comes.

mod effect;
mod fault;
mod target;

use std::collections::VecDeque;

pub use fault::Fault;
pub use target::Target;

/// The faults that have not happened yet, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Faults(VecDeque<Fault>);

impl Faults {
    pub(crate) fn push(&mut self, fault: Fault) {
        self.0.push_back(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// Returns the first fault that matches a request for `target`, and counts it down. A fault whose count is used up
    /// leaves the queue.
    pub(crate) fn take(&mut self, target: Option<Target>) -> Option<Fault> {
        let matches = |fault: &Fault| match fault.target {
            None => !target.is_some_and(Target::needs_bearer),
            fault_target => fault_target == target,
        };
        let index = self.0.iter().position(matches)?;
        let fault = self.0.get_mut(index)?;
        fault.count = fault.count.saturating_sub(1);
        if fault.count == 0 {
            return self.0.remove(index);
        }
        Some(fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_gets_the_first_fault_that_matches_it() {
        let mut faults = Faults::default();
        faults.push(Fault::status(501).with_target(Target::Refresh).with_count(2));
        faults.push(Fault::status(502));
        faults.push(Fault::status(503).with_target(Target::AccountInfo));
        let mut next = |target| faults.take(target).and_then(|fault| fault.status);
        assert_eq!(next(Some(Target::Introspect)), Some(502));
        assert_eq!(next(Some(Target::Introspect)), None);
        assert_eq!(next(None), None);
        assert_eq!(next(Some(Target::Refresh)), Some(501));
        assert_eq!(next(Some(Target::Refresh)), Some(501));
        assert_eq!(next(Some(Target::Refresh)), None);
        assert_eq!(next(Some(Target::AccountInfo)), Some(503));
    }
}
