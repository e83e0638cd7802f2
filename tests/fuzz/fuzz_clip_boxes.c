/*
 * What clips are made of, from any bytes: a recording's head, then a moof. What is cut is a whole moof again, of fewer
 * samples, that can be cut at the same instant without a change; patching leaves all sizes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "storage/clip_boxes.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_patch(const uint8_t *moof, size_t n, const struct clip_head *head)
{
	struct mp4_fragment before, after;
	struct clip_shift shift = { 0 };
	uint8_t *copy = malloc(n);
	const char *why;

	if (!copy)
		return;
	memcpy(copy, moof, n);
	clip_shift_set(&shift, head, 0);
	if (clip_patch_moof(copy, n, 7, &shift) == 0 &&
		mp4_moof_parse(&before, moof, n, &head->movie, &why) == 0 &&
		(mp4_moof_parse(&after, copy, n, &head->movie, &why) < 0 ||
			after.samples != before.samples || after.data_bytes != before.data_bytes))
		abort();
	free(copy);
}

static void check_cut(const uint8_t *moof, size_t n, const struct clip_head *head)
{
	struct mp4_fragment before, after;
	struct clip_tail tail, again;
	const char *why;
	int64_t to_us = head->origin_us + 100000;

	if (clip_cut(&tail, moof, n, head, to_us) != CLIP_CUT_SOME)
		return;
	if (mp4_moof_parse(&before, moof, n, &head->movie, &why) < 0 ||
		mp4_moof_parse(&after, tail.head, tail.moof_bytes, &head->movie, &why) < 0 ||
		after.samples >= before.samples || tail.bytes != tail.head_bytes + after.data_bytes)
		abort();
	if (clip_cut(&again, tail.head, tail.moof_bytes, head, to_us) != CLIP_CUT_NONE)
		abort();
	free(tail.head);
}

static void check_head(const uint8_t *p, size_t n, const struct clip_head *head)
{
	uint8_t *copy = malloc(n);
	struct clip_shift shift = { .n = 1, .tracks = { { .id = 1, .hidden = true } } };
	struct box_writer w = { 0 };

	if (!copy)
		return;
	memcpy(copy, p, n);
	clip_patch_head(copy, head, &shift);
	if (clip_head_write(&w, p, head, 0, 1000000) == 0 && w.n <= head->room_at)
		abort();
	free(w.p);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct clip_head head;
	struct clip_first first;
	struct mp4_box box;
	const char *why;
	size_t at = 0;

	while (at < n && mp4_box_parse(&box, p + at, n - at, &why) > 0 && !box.to_end &&
		box.bytes <= n - at && box.type != MP4_TYPE('m', 'o', 'o', 'f')) {
		/* a closed file's mdat is the room for its header, here */
		at += box.header_bytes == 16 ? 16 : (size_t)box.bytes;
	}
	if (clip_head_parse(&head, p, at) < 0)
		return 0;
	check_head(p, at, &head);
	if (at == n || mp4_box_parse(&box, p + at, n - at, &why) <= 0 || box.bytes > n - at)
		return 0;
	(void)!clip_first_parse(&first, p + at, (size_t)box.bytes, &head);
	check_patch(p + at, (size_t)box.bytes, &head);
	check_cut(p + at, (size_t)box.bytes, &head);
	return 0;
}
