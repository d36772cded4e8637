import assert from "node:assert/strict";
import { test } from "node:test";
import { Bucket, Store, backoff, mayReturn, pack } from "./page/wire.js";

test("a frame is a header and little-endian samples", () => {
  const data = Buffer.from(pack(Int16Array.of(1, -2, 300), 2 ** 33 + 5, 7, true));
  assert.equal(data.toString("hex"), "0101000000000007" + "0000000200000005" + "0100feff2c01");
  assert.equal(Buffer.from(pack(new Int16Array(0), 0, 0, false)).toString("hex"), "01" + "00".repeat(15));
});

test("nobody comes back by themselves after 44xx or when all is done", () => {
  assert.deepEqual([1000, 1001, 1006, 1011, 1012, 4399, 4400, 4409, 4499, 4500, 4503, 4509].map(mayReturn),
    [false, true, true, true, true, true, false, false, false, true, true, true]);
});

test("waits double up to ten seconds, at random", () => {
  assert.equal(backoff(0, 1), 300);
  assert.equal(backoff(3, 1), 2400);
  assert.equal(backoff(30, 1), 10_000);
  assert.equal(backoff(3, 0), 1200);
});

test("a bucket lets through its burst, then its rate", () => {
  const bucket = new Bucket(10, 20, 0);
  assert.ok(bucket.take(20, 0));
  assert.ok(!bucket.take(1, 0.05));
  assert.ok(bucket.take(1, 0.1));
  assert.ok(!bucket.take(21, 1000));
});

const all = (store, from = 0, most = 4) => {
  const found = [];
  for (let piece; (piece = store.read(from, most)); from = piece.at + piece.samples.length) found.push([piece.at, ...piece.samples]);
  return found;
};

test("sound is kept until the server has it for sure", () => {
  const store = new Store();
  store.push(Int16Array.of(1, 2, 3));
  store.push(Int16Array.of(4, 5, 6));
  assert.deepEqual(all(store), [[0, 1, 2, 3], [3, 4, 5, 6]]);
  assert.deepEqual(all(store, 1, 1), [[1, 2], [2, 3], [3, 4], [4, 5], [5, 6]]);
  store.trim(4); // not all of the second piece
  assert.deepEqual([store.base, store.end, store.lost], [3, 6, 0]);
  assert.deepEqual(all(store), [[3, 4, 5, 6]]);
  store.trim(6);
  assert.deepEqual([store.base, all(store)], [6, []]);
});

test("a time without sound is a gap, not less sound", () => {
  const store = new Store(100);
  store.push(Int16Array.of(1));
  store.skip(50);
  store.push(Int16Array.of(2));
  assert.deepEqual(all(store, 100), [[100, 1], [151, 2]]);
  assert.equal(store.end, 152);
});

test("what does not fit is counted", () => {
  const store = new Store(0, 5);
  for (let n = 0; n < 4; n++) store.push(Int16Array.of(n, n));
  assert.deepEqual([store.base, store.end, store.lost], [4, 8, 4]);
});
