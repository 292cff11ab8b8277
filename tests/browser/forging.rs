//! Requests that are not what they seem: forms of other sites, and webhooks that HubSpot did not send.

use std::time::{Duration, SystemTime};

use hs_oauth_core::{ClientSecret, RequestSignatureVersion, Timestamp};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};

use crate::browser::{BoxError, Browser};
use crate::service::Service;

const EVENTS: &str =
    r#"[{"eventId":1,"portalId":62515,"subscriptionType":"contact.creation","objectId":123,"unknown":{}}]"#;

impl Service {
    fn sign(
        &self,
        version: RequestSignatureVersion,
        now: SystemTime,
        url: &str,
        body: &str,
    ) -> Result<HeaderMap, BoxError> {
        let secret = ClientSecret::new(&self.hubspot.settings().client_secret)?;
        Ok(version.sign(&secret, Timestamp::from(now), &Method::POST, url, body.as_bytes()))
    }

    async fn send_webhook(
        &self,
        path: &str,
        headers: HeaderMap,
        body: &'static str,
    ) -> Result<StatusCode, BoxError> {
        let request = Client::builder().no_proxy().build()?.post(format!("{}{path}", self.url));
        Ok(request.headers(headers).body(body).send().await?.status())
    }
}

/// HubSpot's "Validating requests".
#[tokio::test]
async fn a_webhook_counts_only_if_hubspot_has_signed_it_as_it_came() -> Result<(), BoxError> {
    use RequestSignatureVersion::{V1, V2, V3};
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.connect(&service, "Ada").await?;
    let url = format!("{}/webhooks", service.url);
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);

    let other_body = EVENTS.replace("123", "124");
    for (what, headers) in [
        ("no signature", HeaderMap::new()),
        ("another body", service.sign(V3, now, &url, &other_body)?),
        ("another address", service.sign(V3, now, &format!("{url}?a=b"), EVENTS)?),
        ("too old", service.sign(V3, now - hour, &url, EVENTS)?),
        ("from the future", service.sign(V3, now + hour, &url, EVENTS)?),
        ("another body, v1", service.sign(V1, now, &url, &other_body)?),
    ] {
        assert_eq!(
            service.send_webhook("/webhooks", headers, EVENTS).await?,
            StatusCode::UNAUTHORIZED,
            "{what}"
        );
    }
    browser.reload().await?;
    assert_eq!(browser.texts("#news li").await?, [""; 0]);

    for version in [V1, V2, V3] {
        let path = "/webhooks?tenant=a%20b";
        let headers = service.sign(version, SystemTime::now(), &format!("{}{path}", service.url), EVENTS)?;
        assert_eq!(service.send_webhook(path, headers, EVENTS).await?, StatusCode::NO_CONTENT, "{version:?}");
    }
    let headers = service.sign(V3, SystemTime::now(), &url, "{}")?;
    assert_eq!(service.send_webhook("/webhooks", headers, "{}").await?, StatusCode::BAD_REQUEST);
    browser.reload().await?;
    assert_eq!(browser.texts("#news li").await?, ["contact.creation of object 123"; 3]);
    browser.check_page("account-with-news").await
}

/// A form of another site has the browser's cookie with it, or none, but never the session's token.
#[tokio::test]
async fn a_form_of_another_site_changes_nothing() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.connect(&service, "Ada").await?;
    let cookies = browser.cookies().await?;
    let [cookie] = cookies.as_slice() else { panic!("{cookies:?}") };
    assert_eq!((cookie.http_only, cookie.path.as_deref()), (Some(true), Some("/")));
    assert_eq!(format!("{:?}", cookie.same_site), "Some(Lax)");
    let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
    for path in [
        "/sign-in",
        "/sign-out",
        "/connect",
        "/confirm",
        "/accounts/62515/disconnect",
        "/accounts/62515/uninstall",
    ] {
        for body in
            ["name=Eve&account=62515&answer=mine", "csrf_token=AAAA&name=Eve&account=62515&answer=mine"]
        {
            let request = http.post(format!("{}{path}", service.url)).body(body);
            let request = request.header("cookie", format!("{}={}", cookie.name, cookie.value));
            let response = request.header("content-type", "application/x-www-form-urlencoded").send().await?;
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path} {body}");
        }
    }
    browser.reload().await?;
    browser.see("Account 62515").await?;
    assert!(browser.text().await?.contains("Connected. HubSpot responded just now."));
    Ok(())
}
