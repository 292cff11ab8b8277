//! How many idle connections there may be.

use super::*;

#[test]
fn one_more_idle_connection_closes_the_one_that_has_been_idle_longest() {
    let mut builder = Server::builder(Settings::new([1; 32]));
    builder.max_waiting = 4;
    let server = builder.start("127.0.0.1:0").unwrap();
    let beginnings: [&[u8]; 5] = [
        b"",
        b"G",
        b"POST /oauth/v3/token HTTP/1.1\r\nhost: loc",
        b"POST /oauth/v3/token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n",
        b"GET /_emulator/clock HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ];
    let mut idle = Vec::new();
    for _ in 0..4 {
        for beginning in beginnings {
            let mut stream = connect(&server);
            stream.write_all(beginning).unwrap();
            if beginning.ends_with(b"host: localhost\r\n\r\n") {
                assert_ne!(stream.read(&mut [0; 1024]).unwrap(), 0);
            }
            idle.push(stream);
        }
    }
    assert!(send(&server, EMPTY_FORM.as_bytes()).starts_with("HTTP/1.1 400 "));
    let newest = idle.split_off(idle.len() - 3);
    for mut stream in idle {
        // The end of the connection, or a reset if the server had not read everything.
        let end = stream.read(&mut [0; 1024]);
        assert!(
            matches!(&end, Ok(0))
                || end.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset),
            "{end:?}"
        );
    }
    for mut stream in newest.into_iter().skip(2) {
        stream.write_all(b"GET /_emulator/clock HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        assert_ne!(stream.read(&mut [0; 1024]).unwrap(), 0);
    }
}

#[test]
fn a_connection_whose_client_waits_for_a_response_is_not_closed_for_others() {
    let mut builder = Server::builder(Settings::new([1; 32]));
    builder.max_waiting = 2;
    let server = builder.start("127.0.0.1:0").unwrap();
    server.emulator(|emulator| emulator.inject(Fault::delay(Duration::from_secs(2))));
    let mut slow = connect(&server);
    slow.write_all(EMPTY_FORM.as_bytes()).unwrap();
    while server.emulator(|emulator| emulator.journal().len()) == 0 {
        std::thread::yield_now();
    }
    let mut idle: Vec<_> = (0..10).map(|_| connect(&server)).collect();
    assert_eq!(idle[0].read(&mut [0; 1]).unwrap(), 0);
    let mut response = String::new();
    slow.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
}
