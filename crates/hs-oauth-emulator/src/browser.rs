//! A simulated browser with a user in front of it, for tests and examples.

use hs_oauth_core::Timestamp;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{Request, Response, Uri};

use crate::emulator::Emulator;

impl Emulator {
    /// Opens an authorization URL as a user's browser does, presses Connect on the consent page, and returns the URL
    /// that the browser is redirected to. It chooses the first account and grants all optional scopes.
    ///
    /// ```
    /// use hs_oauth_core::{App, Authorize, ClientSecret, Randomness, Timestamp};
    /// use hs_oauth_emulator::{Emulator, Settings};
    ///
    /// let settings = Settings::new([7; 32]);
    /// let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret)?)
    ///     .with_redirect_uri(&settings.redirect_uris[0])
    ///     .build()?;
    /// let mut emulator = Emulator::new(settings);
    ///
    /// let now = Timestamp::from_secs(1_790_000_000);
    /// let randomness = Randomness::new([1; 32], [1; 32]);
    /// let authorization = Authorize::new("oauth".parse()?).begin_with(&app, now, randomness)?;
    /// let callback = emulator.connect(now, &authorization.url)?;
    /// let (_, query) = callback.split_once('?').ok_or("no query")?;
    /// let code = authorization.pending.accept(now, query)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The HTML of the page that is shown instead, if the browser is not redirected. A short message, if `url` is not a
    /// URL.
    pub fn connect(&mut self, now: Timestamp, url: &str) -> Result<String, String> {
        self.decide(now, url, "connect")
    }

    /// Does what [`Emulator::connect`] does, but presses Cancel.
    ///
    /// # Errors
    /// The same as those of [`Emulator::connect`].
    pub fn cancel(&mut self, now: Timestamp, url: &str) -> Result<String, String> {
        self.decide(now, url, "cancel")
    }

    fn decide(&mut self, now: Timestamp, url: &str, decision: &str) -> Result<String, String> {
        let uri: Uri = url.parse().map_err(|error| format!("not a URL: {error}"))?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let page = self.handle(now, request(Request::get(target), String::new())?);
        if let Some(location) = location(&page) {
            return Ok(location);
        }
        let html = String::from_utf8_lossy(page.body()).into_owned();
        let mut form = form_urlencoded::Serializer::new(String::new());
        let ticket = values(&html, "ticket").next().ok_or_else(|| html.clone())?;
        form.append_pair("ticket", &ticket).append_pair("decision", decision);
        form.extend_pairs(values(&html, "hub_id").take(1).map(|hub_id| ("hub_id", hub_id)));
        form.extend_pairs(values(&html, "optional_scope").map(|scope| ("optional_scope", scope)));
        let post = Request::post(uri.path()).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let response = self.handle(now, request(post, form.finish())?);
        location(&response).ok_or_else(|| String::from_utf8_lossy(response.body()).into_owned())
    }
}

fn request(builder: http::request::Builder, body: String) -> Result<Request<Vec<u8>>, String> {
    builder.body(body.into_bytes()).map_err(|error| error.to_string())
}

fn location<B>(response: &Response<B>) -> Option<String> {
    response.headers().get(LOCATION)?.to_str().ok().map(str::to_owned)
}

/// Returns the values of all form fields of one name. It relies on how the consent page writes its fields.
fn values<'h>(html: &'h str, name: &str) -> impl Iterator<Item = String> + 'h {
    let start = format!("name=\"{name}\" value=\"");
    let mut rest = html;
    std::iter::from_fn(move || {
        let (value, after) = rest.split_once(&start)?.1.split_once('"')?;
        rest = after;
        let value =
            value.replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'").replace("&quot;", "\"");
        Some(value.replace("&amp;", "&"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn url(more: &str) -> String {
        format!(
            "https://app.hubspot.com/oauth/authorize?client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
             &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback&scope=oauth&state=xyz{more}"
        )
    }

    #[test]
    fn the_user_connects_or_cancels_or_sees_an_error() {
        let mut emulator = Emulator::new(Settings::new([7; 32]));
        let callback = emulator.connect(NOW, &url("&optional_scope=a%26b%3Cc")).unwrap();
        assert!(callback.starts_with("http://localhost:3000/oauth/callback?code="), "{callback}");
        let callback = emulator.cancel(NOW, &url("")).unwrap();
        assert!(callback.contains("error=access_denied") && callback.ends_with("&state=xyz"), "{callback}");
        assert!(emulator.connect(NOW, "/oauth/authorize").unwrap_err().contains("<h1>"));
    }
}
