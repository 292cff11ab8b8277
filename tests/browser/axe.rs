//! The check of a page: the accessibility rules of WCAG 2.1 at level AA, on a screen and on a phone, light and dark. It leaves pictures.

use std::path::Path;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::browser::{BoxError, Browser};

/// Where `npm ci` puts it.
const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node_modules/axe-core/axe.min.js");
/// Where the pictures go. CI keeps them.
const PICTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/browser");

/// Finds elements with a script in them.
const SCRIPTS: &str =
    "arguments[0]([...document.querySelectorAll('*')].filter(element => element.localName === 'script'
    || element.getAttributeNames().some(name => name.startsWith('on'))
    || /^javascript:/i.test(element.getAttribute('href') ?? element.getAttribute('action') ?? ''))
    .map(element => element.outerHTML))";

static SOURCE: LazyLock<String> = LazyLock::new(|| {
    std::fs::read_to_string(AXE).unwrap_or_else(|error| panic!("{AXE}: {error}; run npm ci"))
});

#[derive(Deserialize)]
struct Violation {
    id: String,
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    html: String,
    failure_summary: String,
}

impl Browser {
    /// Checks the page that is open and takes its picture at both widths. `name` is the picture's.
    pub(crate) async fn check_page(&self, name: &str) -> Result<(), BoxError> {
        self.check_page_with_script(name).await?;
        let scripts = self.script(SCRIPTS, vec![]).await?;
        assert_eq!(scripts, json!([]), "{name} has a script");
        Ok(())
    }

    /// Checks the page that is open, which may have a script, and takes its picture at both widths.
    pub(crate) async fn check_page_with_script(&self, name: &str) -> Result<(), BoxError> {
        let mut found = Vec::new();
        for width in [390, 1280] {
            self.resize(width).await?;
            for scheme in ["dark", "light"] {
                self.color_scheme(scheme).await?;
                let violations = self.violations().await?;
                found.extend(
                    violations.into_iter().map(|text| format!("{name}, {width} pixels, {scheme}: {text}")),
                );
            }
            let overflow = self
                .script("arguments[0](document.documentElement.scrollWidth - innerWidth)", vec![])
                .await?;
            assert!(
                overflow.as_i64() <= Some(0),
                "{name}: at {width} pixels one has to scroll sideways: {overflow}"
            );
            self.save_picture(name, width).await?;
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
        Ok(())
    }

    async fn save_picture(&self, name: &str, width: u32) -> Result<(), BoxError> {
        std::fs::create_dir_all(PICTURES)?;
        Ok(std::fs::write(
            Path::new(PICTURES).join(format!("{name}-{width}.png")),
            self.picture(width).await?,
        )?)
    }

    async fn violations(&self) -> Result<Vec<String>, BoxError> {
        let script = format!(
            "{}; const [tags, done] = arguments;
             axe.run(document, {{ runOnly: {{ type: 'tag', values: tags }}, resultTypes: ['violations'] }})
               .then(result => done({{ violations: result.violations, passes: result.passes.length }}),
                     error => done({{ error: String(error) }}));",
            *SOURCE
        );
        let result = self.script(&script, vec![json!(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"])]).await?;
        assert!(result["passes"].as_u64() > Some(0), "no rule was checked: {}", result["error"]);
        let violations = Vec::<Violation>::deserialize(&result["violations"])?;
        let texts = violations.iter().flat_map(|violation| {
            violation
                .nodes
                .iter()
                .map(|node| format!("{}: {}\n{}", violation.id, node.html, node.failure_summary))
        });
        Ok(texts.collect())
    }
}

/// The check can fail, and it finds what it is there to find.
#[tokio::test]
async fn the_check_finds_what_keeps_people_out() -> Result<(), BoxError> {
    let browser = Browser::start().await?;
    for (html, rule) in [
        ("<p style='color:#999;background:#fff'>pale</p>", "color-contrast"),
        ("<form><input name=a></form>", "label"),
        ("<img src='data:,'>", "image-alt"),
    ] {
        browser.open("data:text/html,<!doctype html><html lang=en><title>t</title><main><h1>h</h1>").await?;
        let insert =
            "document.querySelector('main').insertAdjacentHTML('beforeend', arguments[0]); arguments[1]()";
        let _: Value = browser.script(insert, vec![json!(html)]).await?;
        let violations = browser.violations().await?;
        assert!(violations.iter().any(|text| text.starts_with(rule)), "{rule}: {violations:?}");
    }
    Ok(())
}
