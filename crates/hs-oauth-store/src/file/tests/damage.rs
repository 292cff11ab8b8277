use super::*;

#[test]
fn a_damaged_file_is_set_aside_and_reported_once_by_the_first_call_that_reads_it() {
    type Call = fn(&FileStore) -> Result<(), StoreError>;
    let calls: [Call; 5] = [
        |store| store.load(ACCOUNT).map(drop),
        |store| store.swap(ACCOUNT, None, &full_record()).map(drop),
        |store| store.swap(ACCOUNT, Some(1), &full_record()).map(drop),
        |store| store.remove(ACCOUNT, 1).map(drop),
        |store| store.page(None, 1)?.entries.remove(0).stored.map(drop),
    ];
    let folder = TestFolder::new();
    let store = folder.open();
    create(&store, OTHER);
    create(&store, ACCOUNT);
    let intact = fs::read_to_string(folder.file("62515.json")).unwrap();
    let other_file = fs::read(folder.file("62515-7.json")).unwrap();
    fs::remove_file(folder.file("62515.json")).unwrap();
    let json = || serde_json::from_str::<serde_json::Value>(&intact).unwrap();
    let without = |field: &str| {
        let mut json = json();
        json.as_object_mut().unwrap().remove(field).unwrap();
        json.to_string()
    };
    let with = |field: &str, value: serde_json::Value| {
        let mut json = json();
        json[field] = value;
        json.to_string()
    };
    let mut damaged_contents: Vec<Vec<u8>> = [
        String::new(),
        "null".to_owned(),
        "na1-refresh".to_owned(),
        intact.replace("62515", "62516"),
        without("account"),
        without("version"),
        without("record"),
        with("version", (-1).into()),
        with("version", u64::MAX.into()),
        with("record", serde_json::json!({"format": 1})),
        with("record", serde_json::json!({"format": 0})),
        with("record", "na1-refresh".into()),
        format!("{intact}{intact}"),
    ]
    .map(String::into_bytes)
    .to_vec();
    damaged_contents.push(vec![0; intact.len()]);
    damaged_contents.push(vec![0xff, 0xfe]);
    damaged_contents
        .extend((1..intact.len()).step_by(101).map(|length| intact.as_bytes()[..length].to_vec()));

    let mut set_aside = 0;
    for content in &damaged_contents {
        for call in calls {
            fs::write(folder.file("62515.json"), content).unwrap();
            let (kind, message) = error_of(call(&store));
            set_aside += 1;
            let name = format!("62515.json.damaged-{set_aside}");
            assert_eq!(kind, StoreErrorKind::Damaged);
            assert!(
                message.contains(&name) && !message.contains("na1-") && !message.contains("CK-"),
                "{message}"
            );
            assert_eq!(&fs::read(folder.file(&name)).unwrap(), content);
            assert_eq!(store.load(ACCOUNT).unwrap(), None);
            assert_eq!(accounts(&store), [OTHER]);
        }
    }
    assert_eq!(folder.names("62515.json.damaged-").len(), set_aside);
    assert_eq!(fs::read(folder.file("62515-7.json")).unwrap(), other_file);
    assert_eq!(store.load(OTHER).unwrap().unwrap().record, full_record());
    create(&store, ACCOUNT);
}

#[test]
fn a_damaged_file_that_many_threads_read_at_once_is_set_aside_once() {
    let folder = TestFolder::new();
    create(&folder.open(), ACCOUNT);
    fs::write(folder.file("62515.json"), "{").unwrap();
    let reported = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| match folder.open().load(ACCOUNT) {
                Ok(found) => assert_eq!(found, None),
                Err(_) => drop(reported.fetch_add(1, std::sync::atomic::Ordering::Relaxed)),
            });
        }
    });
    assert_eq!(reported.into_inner(), 1);
    assert_eq!(folder.names("62515.json"), ["62515.json.damaged-1"]);
}

#[test]
fn a_record_in_a_newer_format_is_unreadable_and_no_call_changes_it() {
    let folder = TestFolder::new();
    let store = folder.open();
    for text in [
        r#"{"account":"62515","version":7,"record":{"format":2,"grant":[],"tokens":"na1-elsewhere"}}"#,
        r#"{"account":{"hub":62515},"record":{"format":4294967296}}"#,
    ] {
        fs::write(folder.file("62515.json"), text).unwrap();
        for result in [
            store.load(ACCOUNT).map(drop),
            store.swap(ACCOUNT, None, &full_record()).map(drop),
            store.swap(ACCOUNT, Some(7), &full_record()).map(drop),
            store.remove(ACCOUNT, 7).map(drop),
        ] {
            let (kind, message) = error_of(result);
            assert_eq!(kind, StoreErrorKind::Unreadable);
            assert!(message.contains("format") && !message.contains("na1-"), "{message}");
        }
        assert_eq!(fs::read_to_string(folder.file("62515.json")).unwrap(), text);
        assert_eq!(accounts(&store), [ACCOUNT]);
    }
}
