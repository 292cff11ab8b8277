use hs_oauth_emulator::{Fault, Target};
use serde_json::json;

use crate::emulated::{Emulated, HUB};

#[test]
fn uninstall_takes_the_app_out_of_the_account_and_forgets_its_tokens() {
    let home = Emulated::connected();
    let object = home.run(&["uninstall", HUB, "--yes", "--json"]).succeeded().json();
    assert_eq!(object, json!({"account": HUB, "uninstalled": true}));
    assert_eq!((home.state(HUB), home.requests(Target::Uninstall)), (None, 1));
    assert_eq!(home.run(&["uninstall", HUB, "--yes"]).status, 3);
}

#[test]
fn status_5_if_hubspot_does_not_answer_and_the_account_keeps_working() {
    let home = Emulated::connected();
    home.inject(Fault::status(503).with_target(Target::Uninstall).with_count(9));
    let outcome = home.run(&["uninstall", HUB, "--yes"]);
    assert_eq!(outcome.status, 5, "{outcome:?}");
    home.run(&["token", HUB]).succeeded();
}
