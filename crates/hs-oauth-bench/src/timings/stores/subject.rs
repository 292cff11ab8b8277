//! A store that is measured, and what it is compared with.

use std::sync::Arc;

use hs_oauth_async::{AsyncTokenStore, TokenStore};

use super::calls::{Callers, Load, Rate, SharedCall, Swap};
use crate::report::{Table, say, thousands};
use crate::work::Failure;

/// How much longer than the bare statement a call may take.
pub(super) const MAX_TIMES_BARE: f64 = 1.25;

/// A store and, if there is one, its bare statements.
pub(super) struct Subject {
    name: String,
    /// Loads and swaps a second of the prototype.
    prototype: Option<[u64; 2]>,
    /// A load and a swap of the store.
    calls: [SharedCall; 2],
    bare: Option<[SharedCall; 2]>,
}

/// What was measured of it.
pub(super) struct Measured {
    pub(super) name: String,
    prototype: Option<[u64; 2]>,
    pub(super) rates: [Rate; 2],
    bare: Option<[Rate; 2]>,
}

impl Subject {
    pub(super) fn new(
        name: &str,
        store: Arc<dyn AsyncTokenStore>,
        prototype: Option<[u64; 2]>,
        bare: Option<[SharedCall; 2]>,
    ) -> Result<Self, Failure> {
        Ok(Self { name: name.to_owned(), prototype, calls: calls(store)?, bare })
    }

    /// The same for a store that blocks.
    pub(super) fn blocking(
        name: &str,
        store: Arc<dyn TokenStore>,
        prototype: Option<[u64; 2]>,
        bare: Option<[SharedCall; 2]>,
    ) -> Result<Self, Failure> {
        let calls: [SharedCall; 2] = [Arc::new(Load(Arc::clone(&store))), Arc::new(Swap::new(store)?)];
        Ok(Self { name: name.to_owned(), prototype, calls, bare })
    }

    /// Measures it, and prints what came out.
    pub(super) async fn measure(self, callers: &mut Callers) -> Result<Measured, Failure> {
        let Self { name, prototype, calls: [load, swap], bare } = self;
        let (rates, bare) = match &bare {
            Some([bare_load, bare_swap]) => {
                let [load, bare_load, swap, bare_swap] =
                    callers.rates([&load, bare_load, &swap, bare_swap]).await?;
                ([load, swap], Some([bare_load, bare_swap]))
            }
            None => (callers.rates([&load, &swap]).await?, None),
        };
        let measured = Measured { name, prototype, rates, bare };
        let [loads, swaps] = Which::BOTH.map(|which| {
            let rate = shown(which.of(rates).a_second);
            let times = bare.map(|_| format!(" ({} times the bare)", measured.times_bare(which)));
            format!("{rate} {} a second{}", which.name(), times.unwrap_or_default())
        });
        say(format!("measured: {}: {loads}, {swaps}", measured.name));
        Ok(measured)
    }
}

/// Returns a load and a swap of the store.
pub(super) fn calls(store: Arc<dyn AsyncTokenStore>) -> Result<[SharedCall; 2], Failure> {
    Ok([Arc::new(Load(Arc::clone(&store))), Arc::new(Swap::new(store)?)])
}

impl Measured {
    /// Returns how much longer than the bare statement a call takes.
    pub(super) fn times_bare(&self, which: Which) -> String {
        self.bare.map_or_else(missing, |bare| format!("{:.2}", which.of(self.rates).times(which.of(bare))))
    }
}

fn missing() -> String {
    "–".to_owned()
}

/// Which of the two calls.
#[derive(Clone, Copy)]
pub(super) enum Which {
    Loads,
    Swaps,
}

impl Which {
    pub(super) const BOTH: [Self; 2] = [Self::Loads, Self::Swaps];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Loads => "loads",
            Self::Swaps => "swaps",
        }
    }

    pub(super) fn of<T>(self, [load, swap]: [T; 2]) -> T {
        match self {
            Self::Loads => load,
            Self::Swaps => swap,
        }
    }
}

/// Returns the table of all that was measured.
pub(super) fn table<'a>(which: Which, measured: impl Iterator<Item = &'a Measured>) -> Table {
    let mut table = Table::new([
        which.name().to_owned(),
        "a second".to_owned(),
        "µs each".to_owned(),
        "bare, a second".to_owned(),
        "bare, µs".to_owned(),
        "processor, µs".to_owned(),
        "bare, processor, µs".to_owned(),
        format!("times the bare, bound {MAX_TIMES_BARE}"),
        "prototype, a second".to_owned(),
    ]);
    for measured in measured {
        let rate = which.of(measured.rates);
        let bare = measured.bare.map(|bare| which.of(bare));
        table.row([
            measured.name.clone(),
            shown(rate.a_second),
            format!("{:.1}", rate.micros()),
            bare.map_or_else(missing, |bare| shown(bare.a_second)),
            bare.map_or_else(missing, |bare| format!("{:.1}", bare.micros())),
            format!("{:.1}", rate.processor),
            bare.map_or_else(missing, |bare| format!("{:.1}", bare.processor)),
            measured.times_bare(which),
            measured.prototype.map_or_else(missing, |prototype| thousands(which.of(prototype))),
        ]);
    }
    table
}

/// Returns a rate as a text.
pub(super) fn shown(rate: f64) -> String {
    thousands(rate.round() as u64)
}
