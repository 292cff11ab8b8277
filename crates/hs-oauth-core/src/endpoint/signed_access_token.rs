//! The object `signed_access_token` in the response of an introspection.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::MapAccess;

use crate::json::{self, FromJson, Scalar, json_object};
use crate::secret::Signature;

/// The signed form of an access token, which HubSpot's own services read.
///
/// Every field may be absent. The scopes and what belongs to them are opaque strings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SignedAccessToken {
    /// The id of the app.
    #[serde(rename = "appId", skip_serializing_if = "Option::is_none")]
    pub app_id: Option<i64>,
    /// The id of this install of the app.
    #[serde(rename = "appInstallId", skip_serializing_if = "Option::is_none")]
    pub app_install_id: Option<String>,
    /// The audience that the token is meant for.
    #[serde(rename = "audience", skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The time at which the token expires, in milliseconds since 1970.
    #[serde(rename = "expiresAt", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The hub id of the account.
    #[serde(rename = "hubId", skip_serializing_if = "Option::is_none")]
    pub hub_id: Option<i64>,
    /// The data centre of the account, such as `na1`.
    #[serde(rename = "hublet", skip_serializing_if = "Option::is_none")]
    pub hublet: Option<String>,
    /// The user id of the person who installed the app.
    #[serde(rename = "installingUserId", skip_serializing_if = "Option::is_none")]
    pub installing_user_id: Option<i64>,
    /// Whether the app is distributed privately.
    #[serde(rename = "isPrivateDistribution", skip_serializing_if = "Option::is_none")]
    pub is_private_distribution: Option<bool>,
    /// Whether the token acts for a service account.
    #[serde(rename = "isServiceAccount", skip_serializing_if = "Option::is_none")]
    pub is_service_account: Option<bool>,
    /// Whether the token acts for a person rather than for the account.
    #[serde(rename = "isUserLevel", skip_serializing_if = "Option::is_none")]
    pub is_user_level: Option<bool>,
    /// The signature of the token in its newer form.
    #[serde(rename = "newSignature", skip_serializing_if = "Option::is_none")]
    pub new_signature: Option<Signature>,
    /// HubSpot's `scopeToScopeGroupPks`, an opaque string.
    #[serde(rename = "scopeToScopeGroupPks", skip_serializing_if = "Option::is_none")]
    pub scope_to_scope_group_pks: Option<String>,
    /// The scopes, as an opaque string.
    #[serde(rename = "scopes", skip_serializing_if = "Option::is_none")]
    pub scopes: Option<String>,
    /// The signature of the token.
    #[serde(rename = "signature", skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// HubSpot's `trialScopeToScopeGroupPks`, an opaque string.
    #[serde(rename = "trialScopeToScopeGroupPks", skip_serializing_if = "Option::is_none")]
    pub trial_scope_to_scope_group_pks: Option<String>,
    /// The trial scopes, as an opaque string.
    #[serde(rename = "trialScopes", skip_serializing_if = "Option::is_none")]
    pub trial_scopes: Option<String>,
    /// The user id of the person that the token acts for.
    #[serde(rename = "userId", skip_serializing_if = "Option::is_none")]
    pub user_id: Option<i64>,
}

json_object! {
    struct SignedResponse<'a> {
        scalars {
            app_id = "appId",
            app_install_id = "appInstallId",
            audience = "audience",
            expires_at = "expiresAt",
            hub_id = "hubId",
            hublet = "hublet",
            installing_user_id = "installingUserId",
            is_private_distribution = "isPrivateDistribution",
            is_service_account = "isServiceAccount",
            is_user_level = "isUserLevel",
            new_signature = "newSignature",
            scope_to_scope_group_pks = "scopeToScopeGroupPks",
            scopes = "scopes",
            signature = "signature",
            trial_scope_to_scope_group_pks = "trialScopeToScopeGroupPks",
            trial_scopes = "trialScopes",
            user_id = "userId",
        }
        others {}
    }
}

impl<'a> FromJson<'a> for Box<SignedAccessToken> {
    fn from_object<A: MapAccess<'a>>(object: &mut A) -> Result<Option<Self>, A::Error> {
        let signed: SignedResponse<'a> = json::read_nested(object)?;
        let text = |value: Scalar<'_>| value.into_text().map(Cow::into_owned);
        let signature = |value: Scalar<'_>| Signature::new(value.into_text()?).ok();
        Ok(Some(Self::new(SignedAccessToken {
            app_id: signed.app_id.as_integer(),
            app_install_id: text(signed.app_install_id),
            audience: text(signed.audience),
            expires_at: signed.expires_at.as_integer(),
            hub_id: signed.hub_id.as_integer(),
            hublet: text(signed.hublet),
            installing_user_id: signed.installing_user_id.as_integer(),
            is_private_distribution: signed.is_private_distribution.as_bool(),
            is_service_account: signed.is_service_account.as_bool(),
            is_user_level: signed.is_user_level.as_bool(),
            new_signature: signature(signed.new_signature),
            scope_to_scope_group_pks: text(signed.scope_to_scope_group_pks),
            scopes: text(signed.scopes),
            signature: signature(signed.signature),
            trial_scope_to_scope_group_pks: text(signed.trial_scope_to_scope_group_pks),
            trial_scopes: text(signed.trial_scopes),
            user_id: signed.user_id.as_integer(),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serialized_form_is_this_text() {
        let signed = SignedAccessToken {
            app_id: Some(1),
            app_install_id: Some("install".to_owned()),
            audience: Some("all".to_owned()),
            expires_at: Some(1_790_001_800_000),
            hub_id: Some(62515),
            hublet: Some("na1".to_owned()),
            installing_user_id: Some(7),
            is_private_distribution: Some(false),
            is_service_account: Some(false),
            is_user_level: Some(true),
            new_signature: Some(Signature::new("new").unwrap()),
            scope_to_scope_group_pks: Some("AQ".to_owned()),
            scopes: Some("BQ".to_owned()),
            signature: Some(Signature::new("old").unwrap()),
            trial_scope_to_scope_group_pks: Some("CQ".to_owned()),
            trial_scopes: Some("DQ".to_owned()),
            user_id: Some(8),
        };
        assert_eq!(
            serde_json::to_string(&signed).unwrap(),
            concat!(
                r#"{"appId":1,"appInstallId":"install","audience":"all","expiresAt":1790001800000,"hubId":62515,"#,
                r#""hublet":"na1","installingUserId":7,"isPrivateDistribution":false,"isServiceAccount":false,"#,
                r#""isUserLevel":true,"newSignature":"new","scopeToScopeGroupPks":"AQ","scopes":"BQ","#,
                r#""signature":"old","trialScopeToScopeGroupPks":"CQ","trialScopes":"DQ","userId":8}"#,
            )
        );
        assert_eq!(serde_json::to_string(&SignedAccessToken::default()).unwrap(), "{}");
    }
}
