//! The contestants, one file each. Each does every task that it can do.

pub(crate) mod floor;
#[cfg(feature = "google")]
pub(crate) mod google_cloud_auth;
pub(crate) mod hyper;
pub(crate) mod oauth2;
pub(crate) mod ours;
pub(crate) mod reqwest;
pub(crate) mod tame_oauth;
pub(crate) mod tokio_mutex;
pub(crate) mod ureq;
#[cfg(feature = "google")]
pub(crate) mod yup_oauth2;
