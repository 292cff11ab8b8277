use hs_oauth_core::*; use hs_oauth_emulator::*;
fn main(){ let s=Settings::new([7;32]); let app=App::hubspot(&s.client_id, ClientSecret::new(&s.client_secret).unwrap()).redirect_uri(&s.redirect_uris[0]).build().unwrap();
 let mut e=Emulator::new(s); let mut now=Timestamp::from_secs(1_790_000_000);
 let a=Authorize::scopes("oauth".parse().unwrap()).begin_with(&app, Randomness::new([1;64])).unwrap();
 let cb=e.connect(now,&a.url).unwrap(); let x=ExchangeCode::new(a.pending.accept(cb.split_once('?').unwrap().1).unwrap());
 let t=x.from_http(&app,now,&e.handle(now,x.to_http(&app))).unwrap();
 let r=Refresh::new(t.refresh_token.unwrap());
 let start=std::time::Instant::now(); let n=200_000;
 for _ in 0..n { now=now.plus(std::time::Duration::from_millis(500)); let resp=e.handle(now,r.to_http(&app)); assert_eq!(resp.status(),200); }
 println!("{:?} per refresh", start.elapsed()/n);
}
