//! What goes wrong in one schedule: some kinds of fault, each with its own chance.

use hs_oauth_core::Random;

#[derive(Debug, Default)]
pub(super) struct Faults {
    /// The store fails and nothing was written.
    pub(super) store_refuses: u64,
    /// The store fails, and what was to be written was.
    pub(super) store_loses_answers: u64,
    /// The store fails, and the write lands later.
    pub(super) store_lags: u64,
    /// The store takes up to a minute and a half.
    pub(super) store_is_slow: u64,
    /// The store is read from, and takes no writes for up to five minutes.
    pub(super) store_is_read_only: u64,
    /// The request does not arrive.
    pub(super) request_lost: u64,
    /// HubSpot acts, and its answer does not arrive.
    pub(super) answer_lost: u64,
    /// HubSpot acts long after the client has given up.
    pub(super) request_late: u64,
    /// HubSpot's answer is cut somewhere.
    pub(super) answer_cut: u64,
    /// HubSpot answers 4xx, 429, 477 or 5xx, having acted or not.
    pub(super) refused: u64,
    /// The network repeats the request, and one of the two answers comes.
    pub(super) request_twice: u64,
    /// Nothing listens where HubSpot should be.
    pub(super) unreachable: u64,
    /// The process dies, before or after any action.
    pub(super) crash: u64,
    /// The process stands still.
    pub(super) stall: u64,
    /// A clock is set to another time.
    pub(super) jump: u64,
    /// The budget is used up: a renewal waits for its turn, does not wait, or gets none.
    pub(super) crowded: u64,
    /// An API says 401 to a good token.
    pub(super) rejected: u64,
    /// A caller goes away.
    pub(super) leave: u64,
    /// The customer uninstalls, re-installs or is disconnected.
    pub(super) operators: u64,
    /// How far apart the clocks are, in milliseconds.
    pub(super) skew: u64,
}

impl Faults {
    /// Chances are in thousandths, of each single action.
    pub(super) fn draw(random: &mut Random, clock_margin: u64) -> Self {
        let mut faults = Self::default();
        for chance in [
            &mut faults.store_refuses,
            &mut faults.store_loses_answers,
            &mut faults.store_lags,
            &mut faults.store_is_slow,
            &mut faults.request_lost,
            &mut faults.answer_lost,
            &mut faults.request_late,
            &mut faults.answer_cut,
            &mut faults.refused,
            &mut faults.request_twice,
            &mut faults.unreachable,
            &mut faults.crash,
            &mut faults.stall,
            &mut faults.crowded,
            &mut faults.rejected,
            &mut faults.leave,
        ] {
            if random.up_to(3) == 0 {
                *chance = [20, 100, 300][random.up_to(2) as usize];
            }
        }
        faults.store_is_read_only = [0, 0, 0, 2][random.up_to(3) as usize];
        faults.jump = u64::from(random.up_to(9) == 0) * 300;
        faults.operators = [0, 0, 1, 3][random.up_to(3) as usize];
        faults.skew = [0, clock_margin / 2, clock_margin][random.up_to(2) as usize];
        faults
    }
}
