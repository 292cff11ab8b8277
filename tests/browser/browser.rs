//! A Chromium without a window, and what a person does with it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use thirtyfour::extensions::query::ElementPollerWithTimeout;
use thirtyfour::prelude::*;

pub(crate) type BoxError = Box<dyn std::error::Error>;

/// How long something may take before it counts as not happening. Machines can be busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A browser with a profile of its own. It ends when it is dropped, and its driver, too.
pub(crate) struct Browser {
    driver: WebDriver,
    _process: Process,
}

struct Process {
    child: Child,
    port: u16,
}

impl Drop for Process {
    /// Asks the driver to end, which ends the browser first.
    fn drop(&mut self) {
        if self.shut_down().is_err() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

impl Process {
    fn start() -> Result<Self, BoxError> {
        let child =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut process = Self { child: child.map_err(|error| format!("chromedriver: {error}"))?, port: 0 };
        let mut output = BufReader::new(process.child.stdout.take().ok_or("no output")?);
        process.port = port(&mut output)?;
        // The rest is read, too, so that the driver never waits for somebody to read it.
        std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
        Ok(process)
    }

    fn shut_down(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(b"GET /shutdown HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
        stream.read_exact(&mut [0; 12])
    }
}

impl Browser {
    pub(crate) async fn start() -> Result<Self, BoxError> {
        let process = Process::start()?;
        let mut capabilities = DesiredCapabilities::chrome();
        // Root cannot use the sandbox, and containers have little shared memory.
        for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"] {
            capabilities.add_arg(argument)?;
        }
        let poller = ElementPollerWithTimeout::new(LIMIT, Duration::from_millis(50));
        let driver = WebDriver::builder(format!("http://127.0.0.1:{}", process.port), capabilities)
            .request_timeout(LIMIT)
            .poller(Arc::new(poller))
            .await?;
        // The process closes the browser, even after a test that failed.
        driver.clone().leak()?;
        let browser = Self { driver, _process: process };
        browser.resize(1280).await?;
        Ok(browser)
    }

    pub(crate) async fn open(&self, url: &str) -> Result<(), BoxError> {
        Ok(self.driver.goto(url).await?)
    }

    pub(crate) async fn reload(&self) -> Result<(), BoxError> {
        Ok(self.driver.refresh().await?)
    }

    pub(crate) async fn back(&self) -> Result<(), BoxError> {
        Ok(self.driver.back().await?)
    }

    /// Waits until a page with this heading is there.
    pub(crate) async fn see(&self, heading: &str) -> Result<(), BoxError> {
        self.find(By::XPath(format!("//h1[normalize-space()=\"{heading}\"]")), heading).await.map(drop)
    }

    /// Waits until this text is on the page.
    pub(crate) async fn wait_for_text(&self, text: &str) -> Result<(), BoxError> {
        self.find(By::XPath(format!("//body//text()[not(parent::script)][contains(., \"{text}\")]/..")), text)
            .await
            .map(drop)
    }

    /// Presses the button, follows the link or unfolds the part with this text.
    pub(crate) async fn press(&self, text: &str) -> Result<(), BoxError> {
        let by =
            By::XPath(format!("//*[self::button or self::a or self::summary][normalize-space()=\"{text}\"]"));
        self.find(by, text).await?.click().await?;
        Ok(())
    }

    /// Waits until an element is there. `name` is for the error, which says what is there instead.
    async fn find(&self, by: By, name: &str) -> Result<WebElement, BoxError> {
        match self.driver.query(by).first_opt().await? {
            Some(element) => Ok(element),
            None => {
                Err(format!("not seen: {name}\nat {}:\n{}", self.url().await?, self.text().await?).into())
            }
        }
    }

    /// Opens a page in another tab, chooses something and presses a button there, waits for the next page, and comes back to this tab.
    pub(crate) async fn in_background(&self, url: &str, css: &str, button: &str) -> Result<(), BoxError> {
        let this = self.driver.window().await?;
        let other = self.driver.new_tab().await?;
        self.driver.switch_to_window(other).await?;
        self.open(url).await?;
        self.click(css).await?;
        self.press(button).await?;
        self.see("Is this your account?").await?;
        self.driver.close_window().await?;
        Ok(self.driver.switch_to_window(this).await?)
    }

    pub(crate) async fn enter(&self, field: &str, text: &str) -> Result<(), BoxError> {
        let field = self.find(By::Name(field), field).await?;
        field.clear().await?;
        Ok(field.send_keys(text).await?)
    }

    /// Ticks a box, or takes the tick out.
    pub(crate) async fn click(&self, css: &str) -> Result<(), BoxError> {
        Ok(self.find(By::Css(css), css).await?.click().await?)
    }

    /// Presses keys in the element that has the focus.
    pub(crate) async fn keys(&self, keys: impl Into<TypingData>) -> Result<(), BoxError> {
        Ok(self.driver.action_chain().send_keys(keys.into()).perform().await?)
    }

    /// Returns the text of the element that has the focus, or its name if it has none.
    pub(crate) async fn focused(&self) -> Result<String, BoxError> {
        let element = self.driver.active_element().await?;
        let text = element.text().await?;
        Ok(match text.is_empty() {
            true => element.attr("name").await?.unwrap_or_default(),
            false => text,
        })
    }

    pub(crate) async fn url(&self) -> Result<String, BoxError> {
        Ok(self.driver.current_url().await?.to_string())
    }

    /// Returns the visible text of the page.
    pub(crate) async fn text(&self) -> Result<String, BoxError> {
        Ok(self.driver.find(By::Tag("body")).await?.text().await?)
    }

    /// Returns the visible texts of all elements that match.
    pub(crate) async fn texts(&self, css: &str) -> Result<Vec<String>, BoxError> {
        let mut texts = Vec::new();
        for element in self.driver.find_all(By::Css(css)).await? {
            texts.push(element.text().await?);
        }
        Ok(texts)
    }

    pub(crate) async fn forget_cookies(&self) -> Result<(), BoxError> {
        self.devtools("Network.clearBrowserCookies", json!({})).await
    }

    pub(crate) async fn cookies(&self) -> Result<Vec<Cookie>, BoxError> {
        Ok(self.driver.get_all_cookies().await?)
    }

    /// Makes pages unable to run scripts.
    pub(crate) async fn disable_scripts(&self) -> Result<(), BoxError> {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await
    }

    /// Gives the page a width in CSS pixels, as of a screen or of a phone.
    pub(crate) async fn resize(&self, width: u32) -> Result<(), BoxError> {
        self.set_size(width, 900).await
    }

    async fn set_size(&self, width: u32, height: u64) -> Result<(), BoxError> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await
    }

    /// Shows pages as to people who have set their system to `light` or `dark`.
    pub(crate) async fn color_scheme(&self, scheme: &str) -> Result<(), BoxError> {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await
    }

    /// Returns a picture of the whole page at this width, as PNG.
    pub(crate) async fn picture(&self, width: u32) -> Result<Vec<u8>, BoxError> {
        self.resize(width).await?;
        let height = self.script("arguments[0](document.documentElement.scrollHeight)", vec![]).await?;
        self.set_size(width, height.as_u64().ok_or("no height")?).await?;
        let picture = self.driver.screenshot_as_png().await?;
        self.resize(width).await?;
        Ok(picture)
    }

    /// Runs a script of the test's own, which calls its last argument with its result.
    pub(crate) async fn script(&self, script: &str, arguments: Vec<Value>) -> Result<Value, BoxError> {
        self.driver.set_script_timeout(LIMIT).await?;
        Ok(self.driver.execute_async(script, arguments).await?.json().clone())
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Result<(), BoxError> {
        self.driver.cdp().send_raw(command, parameters).await?;
        Ok(())
    }
}

/// Returns the port that the driver says it listens on.
fn port(output: &mut impl BufRead) -> Result<u16, BoxError> {
    let mut line = String::new();
    while output.read_line(&mut line)? > 0 {
        if let Some((_, port)) = line.trim_end().trim_end_matches('.').rsplit_once("successfully on port ") {
            return Ok(port.parse()?);
        }
        line.clear();
    }
    Err("chromedriver ended".into())
}
