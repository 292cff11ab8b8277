//! The faults of one schedule. Each kind has its own chance, and in most schedules some kinds do not occur.

use hs_oauth_core::Random;

/// The chances are in thousandths, of each single action. The exceptions say so.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// The store fails, and nothing was written.
    pub(super) store_fails: u64,
    /// The store fails, although the write took effect.
    pub(super) store_loses_results: u64,
    /// The store fails, and the write takes effect later.
    pub(super) store_lags: u64,
    /// The store takes up to a minute and a half.
    pub(super) store_is_slow: u64,
    /// How many times the store can be read from but takes no writes, for up to five minutes each.
    pub(super) store_is_read_only: u64,
    /// The request does not arrive.
    pub(super) request_lost: u64,
    /// HubSpot acts, and its response does not arrive.
    pub(super) response_lost: u64,
    /// HubSpot acts long after the client has stopped waiting.
    pub(super) request_late: u64,
    /// HubSpot's response arrives in part.
    pub(super) response_truncated: u64,
    /// HubSpot responds with 4xx, 429, 477 or 5xx, whether or not it has acted.
    pub(super) error_response: u64,
    /// The network delivers the request twice, and one of the two responses arrives.
    pub(super) request_duplicated: u64,
    /// HubSpot acts, and what arrives is its response to another account.
    pub(super) response_crossed: u64,
    /// HubSpot's response does not say whose tokens it has, as in `v1`.
    pub(super) response_names_nobody: u64,
    /// HubSpot refuses the grants of many other accounts, too, when a response arrives.
    pub(super) mass_refusal: u64,
    /// No connection to HubSpot is possible.
    pub(super) unreachable: u64,
    /// The process crashes, before or after any action.
    pub(super) crash: u64,
    /// The process is paused.
    pub(super) pause: u64,
    /// A clock is set to another time. The chance is of each process.
    pub(super) clock_set: u64,
    /// The renewals a second are used up: a renewal waits for its admission, is skipped, or is refused because of a shutdown.
    pub(super) queue_is_busy: u64,
    /// An API responds with 401 to a good token.
    pub(super) rejected: u64,
    /// A caller stops waiting.
    pub(super) caller_leaves: u64,
    /// How many times the customer uninstalls, installs again or is disconnected.
    pub(super) operators: u64,
    /// How many times an operator asks for a renewal, however fresh the token is, or although the grant is gone.
    pub(super) forced_renewals: u64,
    /// How many times a process is deployed with another app, or with a wrong client secret, for up to half an hour.
    pub(super) wrong_deployments: u64,
    /// How many times a process is shut down and started again.
    pub(super) shutdowns: u64,
    /// How far apart the clocks are, in milliseconds.
    pub(super) skew: u64,
}

impl Faults {
    pub(super) fn draw(random: &mut Random, clock_margin: u64) -> Self {
        let mut faults = Self::default();
        for chance in [
            &mut faults.store_fails,
            &mut faults.store_loses_results,
            &mut faults.store_lags,
            &mut faults.store_is_slow,
            &mut faults.request_lost,
            &mut faults.response_lost,
            &mut faults.request_late,
            &mut faults.response_truncated,
            &mut faults.error_response,
            &mut faults.request_duplicated,
            &mut faults.response_crossed,
            &mut faults.response_names_nobody,
            &mut faults.unreachable,
            &mut faults.crash,
            &mut faults.pause,
            &mut faults.queue_is_busy,
            &mut faults.rejected,
            &mut faults.caller_leaves,
        ] {
            if random.up_to(3) == 0 {
                *chance = [20, 100, 300][random.up_to(2) as usize];
            }
        }
        faults.store_is_read_only = [0, 0, 0, 2][random.up_to(3) as usize];
        faults.clock_set = u64::from(random.up_to(9) == 0) * 300;
        faults.mass_refusal = [0, 0, 0, 500][random.up_to(3) as usize];
        faults.forced_renewals = [0, 0, 0, 4][random.up_to(3) as usize];
        faults.wrong_deployments = [0, 0, 0, 2][random.up_to(3) as usize];
        faults.shutdowns = [0, 0, 0, 2][random.up_to(3) as usize];
        faults.operators = [0, 0, 1, 3][random.up_to(3) as usize];
        faults.skew = [0, clock_margin / 2, clock_margin][random.up_to(2) as usize];
        faults
    }
}
