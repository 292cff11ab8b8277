/// Why a code or a refresh token gives no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrantError {
    /// The code was never issued, or was used before.
    UnknownCode,
    ExpiredCode,
    /// The code was issued for another redirect URI.
    RedirectUriMismatch,
    /// The code verifier does not match the code challenge, or only one of the two was sent.
    WrongCodeVerifier,
    /// The refresh token was never issued, or was replaced, or its grant has ended.
    UnknownRefreshToken,
    /// The refresh token was issued to another app.
    OtherApp,
    /// A scope was requested that was not granted.
    ScopeNotGranted,
    /// The account was deleted.
    HubDeleted,
}
