// SPDX-License-Identifier: MIT
// Objects, strings and buffers that are sorted, replaced and hashed, in the main thread and in two
// workers. What it prints is the same every time.
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const { createHash } = require('crypto');

function work(seed) {
	const hash = createHash('sha256');
	let x = seed;
	const next = () => (x = (x * 48271) % 2147483647);
	let rows = [];
	for (let round = 0; round < 4; round++) {
		for (let i = 0; i < 12000; i++)
			rows.push({ key: next(), text: 'row ' + next() + ' of round ' + round });
		rows.sort((a, b) => a.text < b.text ? -1 : a.text > b.text ? 1 : a.key - b.key);
		rows = rows.filter((row, i) => i % 4 != round % 4);
	}
	for (const row of rows)
		hash.update(row.key + row.text);
	const buffer = Buffer.alloc(8 << 20);
	for (let i = 0; i < buffer.length; i += 7)
		buffer[i] = next();
	return hash.update(buffer).digest('hex');
}

if (!isMainThread) {
	parentPort.postMessage(work(workerData));
} else {
	const seeds = [11, 12];
	const run = (seed) => new Promise((done, failed) => {
		const worker = new Worker(__filename, { workerData: seed });
		worker.on('message', done).on('error', failed);
	});
	Promise.all(seeds.map(run)).then((sums) => console.log('workers', ...sums));
	console.log('main', work(10));
}
