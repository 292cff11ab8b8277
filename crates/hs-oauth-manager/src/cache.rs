//! The bearers that a process holds.
//!
//! A read is one atomic load, one probe and a comparison of three moments. It is less for an account that the thread reads again and
//! again. There is no lock and no allocation, and a read is as fast with a hundred thousand accounts as with one. Writes copy one of
//! many small maps. They are rare: two or three an hour for an account.

mod thread_local;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{Decision, RenewalPolicy, Schedule};
use hs_oauth_core::{AccessToken, Account, Timestamp, TokenSet};

use thread_local::SlotKey;

/// The bearers that one process holds.
pub struct Cache {
    policy: RenewalPolicy,
    /// Unlike that of any other cache in the process.
    number: u64,
    shards: Box<[Shard]>,
    /// Until when an account's token is not renewed for a 401: the last was renewed for one already.
    forced: Mutex<HashMap<Account, Timestamp>>,
}

/// What the cache says to a caller who wants a bearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cached {
    /// Hand this out.
    Use(HeaderValue),
    /// Hand this out, and renew it beside that. Said to one caller at a time.
    RenewSoon(HeaderValue),
    /// There is none to be handed out.
    RenewNow,
}

/// What the cache held of an account when a flight began. What the flight brings is not taken if an account was evicted since.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    evictions: u64,
    version: Option<u64>,
}

#[derive(Default)]
struct Shard {
    map: ArcSwap<Map>,
    /// Counts the changes of the map, each after it was made.
    generation: AtomicU64,
    /// How often an account of this shard was evicted. Held while the map is replaced.
    evictions: Mutex<u64>,
}

/// With the entries in the map itself: each pointer less is a cache miss less where there are many accounts.
type Map = HashMap<Key, Entry, BuildHasherDefault<PrehashedHasher>>;

/// An account with its hash, which a read needs twice: for the shard and for the place in its map.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    hash: u64,
    account: Account,
}

#[derive(Clone)]
struct Entry {
    bearer: HeaderValue,
    schedule: Schedule,
    /// Of the record that the token was found in.
    version: u64,
    pause: Duration,
    /// Until then, in milliseconds since 1970, nobody else is told to renew it soon.
    paused_until: Arc<AtomicU64>,
}

/// So many that a write copies a few hundred entries where there are a hundred thousand accounts.
const SHARDS: usize = 256;

impl Cache {
    /// An empty cache of tokens that are renewed by this policy.
    pub fn new(policy: RenewalPolicy) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        static CACHES: AtomicU64 = AtomicU64::new(1);
        let number = CACHES.fetch_add(1, Ordering::Relaxed);
        Self { policy, number, shards, forced: Mutex::default() }
    }

    /// What to do for a caller who wants a bearer.
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

    /// Shows a bearer that the thread has read often and that is fresh; else gives `show` back.
    ///
    /// # Errors
    /// `show` itself.
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

    /// The bearer that is held, if it may be handed out.
    pub fn usable(&self, account: Account, now: Timestamp) -> Option<HeaderValue> {
        let entry = self.entry(account)?;
        (entry.schedule.decide(now) != Decision::RenewNow).then(|| entry.bearer.clone())
    }

    /// Until when the bearer that is held may be handed out.
    pub fn usable_until(&self, account: Account) -> Option<Timestamp> {
        self.entry(account).map(|entry| entry.schedule.usable_until)
    }

    /// To be taken before a flight begins.
    pub fn snapshot(&self, account: Account) -> Snapshot {
        let evictions = self.shard(Key::new(account)).map_or(0, |shard| *shard.evictions());
        Snapshot { evictions, version: self.entry(account).map(|entry| entry.version) }
    }

    /// Holds these tokens, found or saved under that version, unless it holds newer ones. False, and nothing is held, if an
    /// account (perhaps this one) was evicted since the snapshot was taken.
    pub fn publish(
        &self,
        account: Account,
        snapshot: Snapshot,
        bearer: HeaderValue,
        tokens: &TokenSet,
        version: u64,
    ) -> bool {
        let Some(shard) = self.shard(Key::new(account)) else { return false };
        let evictions = shard.evictions();
        if *evictions != snapshot.evictions {
            return false;
        }
        if self.entry(account).is_none_or(|entry| entry.version < version) {
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

    /// Lets go of an account, and of whatever flights under way will bring.
    pub fn evict(&self, account: Account) {
        let Some(shard) = self.shard(Key::new(account)) else { return };
        let mut evictions = shard.evictions();
        *evictions += 1;
        if self.entry(account).is_some() {
            shard.change(|map| _ = map.remove(&Key::new(account)));
        }
    }

    /// Lets go of what the account had when the snapshot was taken; not of what was published since. Whether there was any.
    pub fn evict_seen(&self, account: Account, snapshot: Snapshot) -> bool {
        let Some(shard) = self.shard(Key::new(account)) else { return false };
        let _evictions = shard.evictions();
        let version = self.entry(account).map(|entry| entry.version);
        let was_seen = version.is_some() && version == snapshot.version;
        if was_seen {
            shard.change(|map| _ = map.remove(&Key::new(account)));
        }
        was_seen
    }

    /// After a flight that renewed nothing: for a while nobody is told to renew the account's token soon. `random` spreads the
    /// pauses of many processes.
    pub fn pause(&self, account: Account, now: Timestamp, random: u64) {
        if let Some(entry) = self.entry(account) {
            // Between a half and one and a half.
            let spread = (random % 1024) as f64 / 1024.0 + 0.5;
            let pause = entry.pause.mul_f64(spread).max(MIN_PAUSE);
            entry.paused_until.store(now.plus(pause).as_millis(), Ordering::Relaxed);
        }
    }

    /// How long the account's token is not to be renewed for another 401; none if it may be. An API that says 401 to every token
    /// would else have every call renewed.
    pub fn must_not_force(&self, account: Account, now: Timestamp) -> Option<Duration> {
        let until = *self.forced_until().get(&account)?;
        let longest = self.policy.longest_timing().safety;
        // One further off is from before the clock was set back.
        (now < until && until <= now.plus(longest)).then(|| until.since(now))
    }

    pub(crate) fn forced(&self, account: Account, now: Timestamp, tokens: &TokenSet) {
        let mut forced = self.forced_until();
        forced.retain(|_, until| *until > now);
        forced.insert(account, now.plus(self.policy.timing(tokens).safety));
    }

    fn forced_until(&self) -> MutexGuard<'_, HashMap<Account, Timestamp>> {
        self.forced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many accounts it holds.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.map.load().len()).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slot_key(&self, shard: &Shard, account: Account) -> SlotKey {
        // Looked at before the map: what is read after it is at least as new.
        let generation = shard.generation.load(Ordering::Acquire);
        SlotKey { cache: self.number, account, generation }
    }

    fn entry(&self, account: Account) -> Option<Entry> {
        let key = Key::new(account);
        self.shard(key)?.map.load().get(&key).cloned()
    }

    fn shard(&self, key: Key) -> Option<&Shard> {
        // The maps use the lowest bits and the highest ones.
        self.shards.get(usize::from((key.hash >> 48) as u8))
    }
}

/// The header `Authorization` with this token: marked as sensitive, and cloned without copying.
pub fn bearer(token: &AccessToken) -> HeaderValue {
    let mut bearer = match HeaderValue::try_from([SCHEME, token.expose()].concat()) {
        Ok(bearer) => bearer,
        // Not for an access token: that is visible ASCII.
        Err(_) => HeaderValue::from_static(SCHEME),
    };
    bearer.set_sensitive(true);
    // The first clone makes the bytes shared, which allocates; the others only count.
    drop(bearer.clone());
    bearer
}

/// The token in a header that [`bearer`] made.
pub fn access_token(bearer: &HeaderValue) -> Option<AccessToken> {
    AccessToken::new(bearer.to_str().ok()?.strip_prefix(SCHEME)?).ok()
}

const SCHEME: &str = "Bearer ";

/// The pause of one who was told to renew soon, until it has: it may fail to begin.
const CLAIM_TIME: Duration = Duration::from_millis(500);
const MIN_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(1800);

impl Entry {
    /// Whether this caller is the one to renew it soon.
    fn claim(&self, now: Timestamp) -> bool {
        let until = self.paused_until.load(Ordering::Relaxed);
        let next = now.plus(CLAIM_TIME).as_millis();
        // One further off than any pause is from before the clock was set back.
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

    /// To be called by whoever holds `evictions`.
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
    /// Mixes the two numbers of the account. Only accounts that connected the app are ever kept, so nobody chooses them to
    /// collide.
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

/// Takes the hash that a key has already.
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
        /// The bearer that is held, even if its time is over.
        fn held(&self, account: Account) -> Option<HeaderValue> {
            Some(self.entry(account)?.bearer)
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
        cache.publish(HUB, snapshot, bearer(&tokens.access_token), &tokens, version)
    }

    fn cache() -> Cache {
        Cache::new(RenewalPolicy::new())
    }

    /// A thread that has read an account often reads it from a place of its own: a change must show there as well.
    #[test]
    fn what_a_thread_keeps_near_is_never_older_than_what_is_held() {
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
    fn a_bearer_is_lent_where_the_thread_reads_it_often_and_only_while_it_is_fresh() {
        let cache = cache();
        let lent = |seconds| cache.lend(HUB, at(seconds), |bearer| bearer.clone()).ok();
        assert!(publish(&cache, cache.snapshot(HUB), "a", 1));
        assert_eq!(lent(0), None, "not read yet");
        for _ in 0..20 {
            cache.read(HUB, at(0));
        }
        let bearer = lent(0).unwrap();
        assert_eq!((&bearer, bearer.is_sensitive()), (&HeaderValue::from_static("Bearer a"), true));
        // Whoever is shown a bearer may ask for one.
        let inner = cache.lend(HUB, at(0), |_| (cache.read(HUB, at(0)), lent(0)));
        assert_eq!(inner.ok(), Some((Cached::Use(bearer.clone()), Some(bearer))));
        assert_eq!((lent(1500), lent(1790)), (None, None), "its time has come");
        std::thread::scope(|scope| assert_eq!(scope.spawn(|| lent(0)).join().unwrap(), None));
        cache.evict(HUB);
        assert_eq!(lent(0), None);
    }

    #[test]
    fn a_bearer_is_handed_out_renewed_soon_by_one_caller_and_then_not_handed_out() {
        let cache = cache();
        assert_eq!(cache.read(HUB, at(0)), Cached::RenewNow);
        assert!(publish(&cache, cache.snapshot(HUB), "a", 1));
        assert_eq!(cache.read(HUB, at(0)), Cached::Use(HeaderValue::from_static("Bearer a")));
        assert!(matches!(cache.read(HUB, at(1500)), Cached::RenewSoon(_)));
        assert!(matches!(cache.read(HUB, at(1500)), Cached::Use(_)), "one caller at a time");
        assert!(matches!(cache.read(HUB, at(1501)), Cached::RenewSoon(_)), "the first one may have failed");
        cache.pause(HUB, at(1501), 0);
        assert!(
            matches!(cache.read(HUB, at(1502)), Cached::Use(_)),
            "a storm of callers does not load the store"
        );
        assert!(matches!(cache.read(HUB, at(1503)), Cached::RenewSoon(_)));
        assert_eq!(cache.read(HUB, at(1740)), Cached::RenewNow);
        assert_eq!((cache.usable(HUB, at(1740)), cache.held(HUB).is_some()), (None, true));
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

    /// RENEWAL.md, rule 6: a flight that began before a disconnect does not undo it.
    #[test]
    fn what_was_evicted_is_not_brought_back_by_a_flight_that_began_before() {
        let cache = cache();
        let before = cache.snapshot(HUB);
        publish(&cache, before, "a", 1);
        cache.evict(HUB);
        assert!(!publish(&cache, before, "b", 2));
        assert!(cache.is_empty());
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
    fn accounts_are_spread_over_the_shards_whatever_their_numbers() {
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
    fn a_bearer_is_sensitive_and_gives_its_token_back() {
        let token = AccessToken::new("CK-1").unwrap();
        let bearer = bearer(&token);
        assert!(bearer.is_sensitive());
        assert!(!format!("{bearer:?}").contains("CK-1"));
        assert_eq!(access_token(&bearer), Some(token));
        assert_eq!(access_token(&HeaderValue::from_static("Basic x")), None);
    }
}
