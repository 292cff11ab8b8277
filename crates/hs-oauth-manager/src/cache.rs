//! The bearers that a process holds.
//!
//! A read is one atomic load, one probe of a hash map and a comparison of three moments. It is even less for an account that the thread
//! reads often. There is no lock and no allocation, and a read is as fast with a hundred thousand accounts as with one. A write copies one
//! of many small maps. Writes are rare: two or three an hour for an account.

pub(crate) mod pause_after_401;
mod thread_local;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{Decision, Demand, RenewalPolicy, Schedule};
use hs_oauth_core::{AccessToken, Account, Timestamp, TokenSet};

use pause_after_401::PauseAfter401;
use thread_local::SlotKey;

/// The bearers that a process holds.
pub struct Cache {
    policy: RenewalPolicy,
    /// The number of this cache. No other cache in the process has the same one.
    number: u64,
    shards: Box<[Shard]>,
    pause_after_401: PauseAfter401<Account>,
}

/// The result of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cached {
    /// Hand out this bearer.
    Use(HeaderValue),
    /// Hand out this bearer, and renew the token at the same time. Only one caller at a time receives this.
    RenewSoon(HeaderValue),
    /// There is no bearer that may be handed out.
    RenewNow,
}

/// The state of an account in the cache when a flight began. The tokens of the flight are not published if an account of the
/// same shard was evicted since.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    evictions: u64,
    version: Option<u64>,
}

#[derive(Default)]
struct Shard {
    map: ArcSwap<Map>,
    /// The number of changes of the map. Each is counted after it was made.
    generation: AtomicU64,
    /// How often an account of this shard was evicted. The lock is held while the map is replaced.
    evictions: Mutex<u64>,
}

/// The entries are in the map itself, since with many accounts each pointer costs a miss of the processor's cache.
type Map = HashMap<Key, Entry, BuildHasherDefault<PrehashedHasher>>;

/// An account and its hash. A read needs the hash twice: to choose the shard, and for the shard's map.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    hash: u64,
    account: Account,
}

#[derive(Clone)]
struct Entry {
    bearer: HeaderValue,
    schedule: Schedule,
    /// The version of the record in which the token is stored.
    version: u64,
    /// The usual length of a pause.
    pause: Duration,
    /// The end of the pause, in milliseconds since 1970. Until then no caller receives [`Cached::RenewSoon`].
    paused_until: Arc<AtomicU64>,
}

/// With a hundred thousand accounts, a write copies about a hundred entries. An empty cache takes about a hundred kilobytes.
const SHARDS: usize = 1024;

impl Cache {
    /// Returns an empty cache for tokens that are renewed by this policy.
    pub(crate) fn new(policy: RenewalPolicy) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        static CACHES: AtomicU64 = AtomicU64::new(1);
        let number = CACHES.fetch_add(1, Ordering::Relaxed);
        Self { policy, number, shards, pause_after_401: PauseAfter401::default() }
    }

    /// Returns what to do for a caller who asks for a bearer.
    #[inline]
    pub fn read(&self, account: Account, now: Timestamp) -> Cached {
        let key = Key::new(account);
        let Some(shard) = self.shard(key) else { return Cached::RenewNow };
        let slot_key = self.slot_key(shard, account);
        match thread_local::lend(key.hash, slot_key, now, HeaderValue::clone) {
            Ok(bearer) => Cached::Use(bearer),
            Err(_) => shard.read(key, slot_key, now),
        }
    }

    /// Calls `show` with the bearer, if this thread has read it often and it need not be renewed yet.
    ///
    /// # Errors
    /// `show` itself, not called, in all other cases.
    #[inline]
    pub fn lend<T, F: FnOnce(&HeaderValue) -> T>(
        &self,
        account: Account,
        now: Timestamp,
        show: F,
    ) -> Result<T, F> {
        let key = Key::new(account);
        match self.shard(key) {
            Some(shard) => thread_local::lend(key.hash, self.slot_key(shard, account), now, show),
            None => Err(show),
        }
    }

    /// Returns the bearer, if it may still be handed out and meets the demand.
    pub(crate) fn usable(&self, account: Account, demand: &Demand, now: Timestamp) -> Option<HeaderValue> {
        self.with_entry(account, |Entry { bearer, schedule, .. }| {
            let is_usable = schedule.decide(now) != Decision::RenewNow && is_met(demand, bearer);
            is_usable.then(|| bearer.clone())
        })?
    }

    /// Returns until when the bearer may be handed out.
    pub fn usable_until(&self, account: Account) -> Option<Timestamp> {
        self.with_entry(account, |entry| entry.schedule.usable_until)
    }

    /// Returns the state of an account now. It is compared with the state at the end of a flight that begins now.
    pub fn snapshot(&self, account: Account) -> Snapshot {
        let evictions = self.shard(Key::new(account)).map_or(0, |shard| *shard.evictions());
        Snapshot { evictions, version: self.with_entry(account, |entry| entry.version) }
    }

    /// Puts tokens into the cache unless newer ones are there. `version` is that of the record in which they are stored.
    ///
    /// What was there when the snapshot was taken is older, whatever its version: the tokens were found or saved later. Versions that fall
    /// come from a store that was restored.
    ///
    /// `adds` says whether an account that has no token here gets one.
    ///
    /// Returns `false`, and changes nothing, if this account or another one in its shard was evicted since the snapshot was taken.
    pub(crate) fn publish(
        &self,
        account: Account,
        snapshot: Snapshot,
        bearer: HeaderValue,
        tokens: &TokenSet,
        version: u64,
        adds: bool,
    ) -> bool {
        let Some(shard) = self.shard(Key::new(account)) else { return false };
        let evictions = shard.evictions();
        if *evictions != snapshot.evictions {
            return false;
        }
        let is_newer = |entry: &Entry| match snapshot.version == Some(entry.version) {
            true => entry.version != version || entry.bearer != bearer,
            false => entry.version < version,
        };
        if self.with_entry(account, is_newer).unwrap_or(adds) {
            let entry = Entry {
                bearer,
                schedule: self.policy.schedule(tokens),
                version,
                pause: self.policy.timing(tokens).request / 5,
                paused_until: Arc::default(),
            };
            shard.change(|map| _ = map.insert(Key::new(account), entry));
        }
        true
    }

    /// Removes an account. The tokens of flights under way will not be published either.
    pub fn evict(&self, account: Account) {
        let Some(shard) = self.shard(Key::new(account)) else { return };
        let mut evictions = shard.evictions();
        *evictions += 1;
        if self.with_entry(account, |_| ()).is_some() {
            shard.change(|map| _ = map.remove(&Key::new(account)));
        }
    }

    /// Removes the account's token that was there when the snapshot was taken, but not one that was published since. Returns whether a
    /// token was removed.
    pub(crate) fn evict_seen(&self, account: Account, snapshot: Snapshot) -> bool {
        let Some(shard) = self.shard(Key::new(account)) else { return false };
        let _evictions = shard.evictions();
        let version = self.with_entry(account, |entry| entry.version);
        let was_seen = version.is_some() && version == snapshot.version;
        if was_seen {
            shard.change(|map| _ = map.remove(&Key::new(account)));
        }
        was_seen
    }

    /// Begins a pause in which no caller receives [`Cached::RenewSoon`] for the account. To be called after a flight that renewed nothing.
    /// `random` spreads the pauses of many processes.
    pub(crate) fn pause(&self, account: Account, now: Timestamp, random: u64) {
        // Between 0.5 and 1.5.
        let spread = (random % 1024) as f64 / 1024.0 + 0.5;
        self.with_entry(account, |entry| {
            let pause = entry.pause.mul_f64(spread).max(MIN_PAUSE);
            entry.paused_until.store(now.plus(pause).as_millis(), Ordering::Relaxed);
        });
    }

    /// Returns how long no 401 may lead to a renewal of the account's token, or `None` if one may. Without such a wait, an API that rejects
    /// every token would cause a renewal for every call.
    pub(crate) fn forced_wait(&self, account: Account, now: Timestamp) -> Option<Duration> {
        self.pause_after_401.remaining(&account, now, &self.policy)
    }

    /// Notes that the account's tokens were renewed after a 401.
    pub(crate) fn note_forced(&self, account: Account, now: Timestamp, tokens: &TokenSet) {
        self.pause_after_401.begin(account, now, tokens, &self.policy);
    }

    /// Returns the number of accounts that have a token here.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.map.load().len()).sum()
    }

    fn slot_key(&self, shard: &Shard, account: Account) -> SlotKey {
        // Read before the map, so that the map is at least as new as this generation.
        let generation = shard.generation.load(Ordering::Acquire);
        SlotKey { cache: self.number, account, generation }
    }

    /// Calls `read` with the account's entry, if there is one, and returns its result.
    fn with_entry<T>(&self, account: Account, read: impl FnOnce(&Entry) -> T) -> Option<T> {
        let key = Key::new(account);
        self.shard(key)?.map.load().get(&key).map(read)
    }

    fn shard(&self, key: Key) -> Option<&Shard> {
        // The maps use the lowest and the highest bits, and the threads' slots those from the 40th.
        self.shards.get((key.hash >> 46) as usize % SHARDS)
    }
}

/// Returns the value of the header `Authorization` for this token. It is marked as sensitive, and its clones share its bytes.
pub(crate) fn bearer(token: &AccessToken) -> HeaderValue {
    let mut bearer = match HeaderValue::try_from([SCHEME, token.expose()].concat()) {
        Ok(bearer) => bearer,
        // An access token is visible ASCII, so this never happens.
        Err(_) => HeaderValue::from_static(SCHEME),
    };
    bearer.set_sensitive(true);
    // The first clone allocates a counter for the shared bytes. Later ones only count.
    drop(bearer.clone());
    bearer
}

/// Returns the token in a header value `Bearer …`, or `None` if it is not of that form.
pub fn access_token(bearer: &HeaderValue) -> Option<AccessToken> {
    AccessToken::new(bearer.to_str().ok()?.strip_prefix(SCHEME)?).ok()
}

/// Returns whether the bearer meets the demand, if nothing more is known about it.
pub(crate) fn is_met(demand: &Demand, bearer: &HeaderValue) -> bool {
    match demand {
        Demand::Usable | Demand::Recheck => true,
        Demand::OtherThan(rejected) => access_token(bearer).as_ref() != Some(rejected),
        Demand::Newer | Demand::NewerDespiteRetryAfter => false,
    }
}

const SCHEME: &str = "Bearer ";

/// The pause after a caller received [`Cached::RenewSoon`]. It is short, since the caller may fail to begin the renewal.
const CLAIM_TIME: Duration = Duration::from_millis(500);
const MIN_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(1800);

impl Entry {
    /// Returns whether this caller has to renew the token soon. If so, a pause begins for all others.
    fn claim(&self, now: Timestamp) -> bool {
        let until = self.paused_until.load(Ordering::Relaxed);
        let next = now.plus(CLAIM_TIME).as_millis();
        // A moment later than any pause lasts was computed before the clock was set back.
        let is_over = until <= now.as_millis() || until > now.plus(MAX_PAUSE).as_millis();
        is_over
            && self.paused_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Shard {
    fn read(&self, key: Key, slot_key: SlotKey, now: Timestamp) -> Cached {
        let map = self.map.load();
        let Some(entry) = map.get(&key) else { return Cached::RenewNow };
        match entry.schedule.decide(now) {
            Decision::Use => {
                thread_local::remember(key.hash, slot_key, &entry.bearer, entry.schedule);
                Cached::Use(entry.bearer.clone())
            }
            Decision::RenewSoon if entry.claim(now) => Cached::RenewSoon(entry.bearer.clone()),
            Decision::RenewSoon => Cached::Use(entry.bearer.clone()),
            Decision::RenewNow => Cached::RenewNow,
        }
    }

    fn evictions(&self) -> MutexGuard<'_, u64> {
        self.evictions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the map by a changed copy. The caller must hold the lock of `evictions`.
    fn change(&self, change: impl FnOnce(&mut Map)) {
        let mut map = Map::clone(&self.map.load());
        change(&mut map);
        self.map.store(Arc::new(map));
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Key {
    /// Returns the key of an account, with a mix of its two numbers as the hash. The cache has only accounts that connected the app, so an
    /// attacker cannot choose numbers that collide.
    fn new(account: Account) -> Self {
        let user = account
            .user_id
            .map_or(0, |user_id| user_id.cast_unsigned().rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15);
        let mixed = (account.hub_id.cast_unsigned() ^ user).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        Self { hash: mixed ^ mixed >> 32, account }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Returns the hash that is in the key.
#[derive(Default)]
struct PrehashedHasher(u64);

impl Hasher for PrehashedHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const HUB: Account = Account::hub(62515);

    impl Cache {
        /// Returns the bearer, even if it may not be handed out any more.
        fn held(&self, account: Account) -> Option<HeaderValue> {
            self.with_entry(account, |entry| entry.bearer.clone())
        }
    }

    fn tokens(name: &str) -> TokenSet {
        TokenSet::new(AccessToken::new(name).unwrap(), 1800, Timestamp::from_secs(1000))
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(1000 + seconds)
    }

    fn publish(cache: &Cache, snapshot: Snapshot, name: &str, version: u64) -> bool {
        let tokens = tokens(name);
        cache.publish(HUB, snapshot, bearer(&tokens.access_token), &tokens, version, true)
    }

    fn cache() -> Cache {
        Cache::new(RenewalPolicy::new())
    }

    /// A thread that has read an account often reads it from a slot of its own. A change must show there as well.
    #[test]
    fn a_thread_never_reads_an_older_bearer_than_the_cache_holds() {
        let (cache, other) = (cache(), cache());
        let read = |cache: &Cache, seconds| (0..20).map(|_| cache.read(HUB, at(seconds))).collect::<Vec<_>>();
        let all_use = |name: &'static str| vec![Cached::Use(HeaderValue::from_static(name)); 20];
        assert!(publish(&cache, cache.snapshot(HUB), "a", 1));
        assert!(publish(&other, other.snapshot(HUB), "other", 1));
        assert_eq!(read(&cache, 0), all_use("Bearer a"));
        assert_eq!(read(&other, 0), all_use("Bearer other"));
        assert_eq!(read(&cache, 0), all_use("Bearer a"));
        assert!(matches!(read(&cache, 1500)[..], [Cached::RenewSoon(_), ..]), "its time has come");
        assert_eq!(read(&cache, 1790), vec![Cached::RenewNow; 20]);
        assert!(publish(&cache, cache.snapshot(HUB), "b", 2));
        assert_eq!(read(&cache, 0), all_use("Bearer b"));
        cache.evict(HUB);
        assert_eq!(read(&cache, 0), vec![Cached::RenewNow; 20]);
        assert_eq!(read(&other, 0), all_use("Bearer other"));
    }

    #[test]
    fn a_bearer_is_lent_to_a_thread_that_reads_it_often_until_it_is_to_be_renewed() {
        let cache = cache();
        let lent = |seconds| cache.lend(HUB, at(seconds), |bearer| bearer.clone()).ok();
        assert!(publish(&cache, cache.snapshot(HUB), "a", 1));
        assert_eq!(lent(0), None, "not read yet");
        for _ in 0..20 {
            cache.read(HUB, at(0));
        }
        let bearer = lent(0).unwrap();
        assert_eq!((&bearer, bearer.is_sensitive()), (&HeaderValue::from_static("Bearer a"), true));
        // `show` may itself ask for a bearer.
        let inner = cache.lend(HUB, at(0), |_| (cache.read(HUB, at(0)), lent(0)));
        assert_eq!(inner.ok(), Some((Cached::Use(bearer.clone()), Some(bearer))));
        assert_eq!((lent(1500), lent(1790)), (None, None), "its time has come");
        std::thread::scope(|scope| assert_eq!(scope.spawn(|| lent(0)).join().unwrap(), None));
        cache.evict(HUB);
        assert_eq!(lent(0), None);
    }

    #[test]
    fn a_bearer_is_handed_out_then_also_renewed_by_one_caller_and_then_not_handed_out() {
        let cache = cache();
        assert_eq!(cache.read(HUB, at(0)), Cached::RenewNow);
        assert!(publish(&cache, cache.snapshot(HUB), "a", 1));
        assert_eq!(cache.read(HUB, at(0)), Cached::Use(HeaderValue::from_static("Bearer a")));
        assert!(matches!(cache.read(HUB, at(1500)), Cached::RenewSoon(_)));
        assert!(matches!(cache.read(HUB, at(1500)), Cached::Use(_)), "one caller at a time");
        assert!(matches!(cache.read(HUB, at(1501)), Cached::RenewSoon(_)), "the first one may have failed");
        cache.pause(HUB, at(1501), 0);
        assert!(matches!(cache.read(HUB, at(1502)), Cached::Use(_)), "many callers do not load the store");
        assert!(matches!(cache.read(HUB, at(1503)), Cached::RenewSoon(_)));
        assert_eq!(cache.read(HUB, at(1740)), Cached::RenewNow);
        assert_eq!((cache.usable(HUB, &Demand::Usable, at(1740)), cache.held(HUB).is_some()), (None, true));
    }

    #[test]
    fn an_older_token_never_replaces_a_newer_one() {
        let cache = cache();
        let snapshot = cache.snapshot(HUB);
        assert!(publish(&cache, snapshot, "new", 5));
        assert!(publish(&cache, snapshot, "old", 4));
        assert_eq!(cache.held(HUB).unwrap(), "Bearer new");
        assert!(publish(&cache, snapshot, "newer", 6));
        assert_eq!(cache.held(HUB).unwrap(), "Bearer newer");
    }

    /// A restored store has lower versions than those in the cache. A bearer that were not published would be loaded at every call.
    #[test]
    fn what_was_there_when_a_flight_began_gives_way_whatever_its_version() {
        let cache = cache();
        publish(&cache, cache.snapshot(HUB), "before", 9);
        assert!(publish(&cache, cache.snapshot(HUB), "restored", 4));
        assert_eq!(cache.held(HUB).unwrap(), "Bearer restored");
        assert!(publish(&cache, cache.snapshot(HUB), "later", 4));
        assert_eq!(cache.held(HUB).unwrap(), "Bearer later");
        let snapshot = cache.snapshot(HUB);
        publish(&cache, snapshot, "installed", 8);
        assert!(publish(&cache, snapshot, "found-before", 7));
        assert_eq!(cache.held(HUB).unwrap(), "Bearer installed");
    }

    /// RENEWAL.md, rule 6: a flight that began before a disconnect does not undo it.
    #[test]
    fn an_evicted_account_is_not_published_by_a_flight_that_began_before() {
        let cache = cache();
        let before = cache.snapshot(HUB);
        publish(&cache, before, "a", 1);
        cache.evict(HUB);
        assert!(!publish(&cache, before, "b", 2));
        assert_eq!(cache.len(), 0);
        assert!(publish(&cache, cache.snapshot(HUB), "c", 3));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn a_flight_that_found_the_grant_gone_does_not_evict_a_later_install() {
        let cache = cache();
        publish(&cache, cache.snapshot(HUB), "a", 1);
        let snapshot = cache.snapshot(HUB);
        publish(&cache, snapshot, "installed", 2);
        assert!(!cache.evict_seen(HUB, snapshot));
        assert!(cache.evict_seen(HUB, cache.snapshot(HUB)));
        assert!(!cache.evict_seen(HUB, cache.snapshot(HUB)), "nothing is left");
    }

    #[test]
    fn accounts_are_spread_over_the_shards_for_any_hub_ids() {
        for step in [1, 2, 256, 1 << 20, 1 << 40] {
            let cache = cache();
            let shards: HashSet<_> = (0..4096_i64)
                .map(|number| {
                    std::ptr::from_ref(
                        cache.shard(Key::new(Account::hub(number.wrapping_mul(step)))).unwrap(),
                    )
                })
                .collect();
            assert!(shards.len() > SHARDS * 9 / 10, "{step}: {}", shards.len());
        }
    }

    #[test]
    fn a_bearer_is_sensitive_and_its_token_can_be_read_from_it() {
        let token = AccessToken::new("CK-1").unwrap();
        let bearer = bearer(&token);
        assert!(bearer.is_sensitive());
        assert!(!format!("{bearer:?}").contains("CK-1"));
        assert_eq!(access_token(&bearer), Some(token));
        assert_eq!(access_token(&HeaderValue::from_static("Basic x")), None);
    }
}
