/*
 * When the pictures in fragments of MP4 (ISO/IEC 14496-12 section 8.8) are shown, as nvrd writes them: one run per track and
 * fragment, versions and optional fields as in storage/fragment.c.
 */

const DEFAULT_DURATION = 0x8; // of tfhd
const FIRST_FLAGS = 0x4; // these of trun
const DURATION = 0x100;
const SIZE = 0x200;
const FLAGS = 0x400;
const COMPOSITION = 0x800;

const typeAt = (view, at) => String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));

/* The contents of all boxes of a type that are in another one, or in a file. */
function boxes(view, type) {
	const found = [];

	for (let at = 0, bytes; at + 8 <= view.byteLength; at += bytes) {
		bytes = view.getUint32(at);
		if (bytes < 8 || at + bytes > view.byteLength)
			break;
		if (typeAt(view, at + 4) === type)
			found.push(new DataView(view.buffer, view.byteOffset + at + 8, bytes - 8));
	}
	return found;
}

const box = (view, ...path) => path.reduce((outer, type) => boxes(outer, type)[0], view);

/* What comes behind the two times at the start of such a box; these are longer in version 1. */
const afterTimes = (view) => view.getUint32(view.getUint8(0) === 1 ? 20 : 12);

export class PictureTimes {
	#track = 0;
	#hz = 1;

	/* `head`: an ArrayBuffer of what goes before fragments. */
	constructor(head) {
		for (const trak of boxes(box(new DataView(head), "moov"), "trak")) {
			if (typeAt(box(trak, "mdia", "hdlr"), 8) !== "vide")
				continue;
			this.#track = afterTimes(box(trak, "tkhd"));
			this.#hz = afterTimes(box(trak, "mdia", "mdhd"));
		}
	}

	/* Those of the pictures in an ArrayBuffer of fragments, in seconds and in the order of decoding. */
	of(fragments) {
		return boxes(new DataView(fragments), "moof").flatMap((moof) => boxes(moof, "traf"))
			.filter((traf) => box(traf, "tfhd").getUint32(4) === this.#track).flatMap((traf) => this.#ofRun(traf));
	}

	#ofRun(traf) {
		const tfhd = box(traf, "tfhd"), trun = box(traf, "trun");
		const same = tfhd.getUint32(0) & DEFAULT_DURATION ? tfhd.getUint32(8) : 0;
		const fields = trun.getUint32(0);
		const times = [];
		let at = fields & FIRST_FLAGS ? 16 : 12, decoded = Number(box(traf, "tfdt").getBigUint64(4));

		const next = (field) => (fields & field ? trun.getInt32((at += 4) - 4) : null);
		for (let left = trun.getUint32(4); left > 0; left--) {
			const duration = next(DURATION) ?? same;
			next(SIZE);
			next(FLAGS);
			times.push((decoded + (next(COMPOSITION) ?? 0)) / this.#hz);
			decoded += duration;
		}
		return times;
	}
}
