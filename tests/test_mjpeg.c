/* JPEG pictures out of streams that spell multipart/x-mixed-replace (RFC 2046) in every way. */
#include "protocols/mjpeg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/jpeg_pictures.h"

enum {
	PICTURES_MOST = 64
};

struct told {
	size_t begun, pictures, dropped;
	size_t bytes[PICTURES_MOST];
	uint16_t widths[PICTURES_MOST];
	bool same; /* each picture is, byte for byte, one that was sent */
	char why[100];
};

static void on_begin(void *arg)
{
	((struct told *)arg)->begun++;
}

static void on_picture(void *arg, const struct jpeg *jpeg, const uint8_t *p)
{
	struct told *told = arg;

	assert_true(told->pictures < PICTURES_MOST);
	told->bytes[told->pictures] = jpeg->bytes;
	told->widths[told->pictures++] = jpeg->width;
	told->same &= jpeg->bytes == sizeof(picture_q50_420) &&
		      !memcmp(p, picture_q50_420, sizeof(picture_q50_420));
}

static void on_dropped(void *arg, const char *why)
{
	struct told *told = arg;

	told->dropped++;
	snprintf(told->why, sizeof(told->why), "%s", why);
}

static const struct mjpeg_events events = { .on_picture = on_picture,
	.on_begin = on_begin,
	.on_dropped = on_dropped };

/* What a stream gives when it comes in pieces of `step` bytes. */
static struct told run(const uint8_t *p, size_t n, size_t step)
{
	struct told told = { .same = true };
	struct mjpeg m = { .events = &events, .arg = &told };

	for (size_t at = 0; at < n; at += step)
		mjpeg_push(&m, p + at, n - at < step ? n - at : step);
	mjpeg_end(&m);
	mjpeg_fini(&m);
	return told;
}

/* A stream that is written piece by piece. */
struct text {
	uint8_t p[16 << 10];
	size_t n;
};

static void add(struct text *text, const void *p, size_t n)
{
	assert_true(n <= sizeof(text->p) - text->n);
	memcpy(text->p + text->n, p, n);
	text->n += n;
}

static void add_words(struct text *text, const char *words)
{
	add(text, words, strlen(words));
}

/* Three parts: each what stands before the picture, the picture, what stands behind it. */
static struct text stream_of(const char *before, const char *after)
{
	struct text text = { 0 };

	for (int i = 0; i < 3; i++) {
		add_words(&text, before);
		add(&text, picture_q50_420, sizeof(picture_q50_420));
		add_words(&text, after);
	}
	return text;
}

static void test_h1_every_spelling_of_a_part(void **state)
{
	static const struct {
		const char *before, *after;
	} rows[] = {
		{"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 745\r\n\r\n",  "\r\n"        },
		{ "--frame\r\nContent-Type: image/jpeg\r\n\r\n",                        "\r\n"        }, /* no length */
		{ "--frame\r\nContent-Length: 3\r\n\r\n",                               "\r\n"        }, /* a wrong one */
		{ "--frame\r\nContent-Length: 99999999999999999999\r\n\r\n",            "\r\n"        },
		{ "--frame\ncontent-type: image/jpeg\n\n",                              "\n"          }, /* LF only */
		{ "\r\n\r\n\r\n--frame\r\n\r\n",                                        "\r\n\r\n\r\n"}, /* extra CRLFs */
		{ "--frame\r\ncONTENT-lENGTH : 745\r\nCONTENT-TYPE:image/jpeg\r\n\r\n", "\r\n"        },
		{ "frame\r\nContent-Type: image/jpeg\r\n\r\n",                          "\r\n"        }, /* without -- */
		{ "----frame\r\nContent-Type: image/jpeg\r\n\r\n",                      "\r\n"        }, /* twice -- */
		{ "--\"frame\"\r\nContent-Type: image/jpeg\r\n\r\n",                    "\r\n"        }, /* quoted */
		{ "--other\r\nContent-Type: image/jpeg\r\n\r\n",
                 "\r\n"									       }, /* not the one that was said */
		{ "--frame\r\n\r\n",						    ""            }, /* nothing behind */
		{ "",								   ""            }, /* pictures alone */
		{ "\r\n--\xff\xd8--\xff\r\n\r\n",                                       "\xff\r\n"    }, /* half a marker */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct text text = stream_of(rows[i].before, rows[i].after);
		static const size_t steps[] = { 1, 2, 3, 7, 700, sizeof(text.p) };

		for (size_t s = 0; s < ARRAY_LENGTH(steps); s++) {
			struct told told = run(text.p, text.n, steps[s]);

			if (told.pictures != 3 || !told.same || told.dropped || told.begun != 3)
				fail_msg("row %zu in steps of %zu: %zu pictures, %zu dropped (%s)",
					i, steps[s], told.pictures, told.dropped, told.why);
		}
	}
}

static void test_h1_every_cut_costs_the_last_picture_at_most(void **state)
{
	struct text text = stream_of("--frame\r\n\r\n", "\r\n");
	size_t part = text.n / 3, begin = strlen("--frame\r\n\r\n");
	size_t end = begin + sizeof(picture_q50_420);

	(void)state;
	for (size_t n = 0; n <= text.n; n++) {
		struct told told = run(text.p, n, 512);
		size_t in_part = n % part;

		assert_int_equal(told.pictures, n / part + (in_part >= end));
		assert_int_equal(told.dropped, in_part >= begin + 3 && in_part < end);
		assert_true(told.same);
	}
}

/* A part that is cut short anywhere in its scan: the next picture comes, and the cut one is counted. */
static void test_h2_a_truncated_part_is_counted_and_left_out(void **state)
{
	struct jpeg jpeg;
	const char *why;

	(void)state;
	assert_int_equal(jpeg_parse(&jpeg, picture_q50_420, sizeof(picture_q50_420), &why), 0);
	for (size_t cut = jpeg.scan_at + 14; cut < sizeof(picture_q50_420); cut++) {
		struct text text = { 0 };
		struct told told;

		add_words(&text, "--frame\r\n\r\n");
		add(&text, picture_q50_420, cut);
		add_words(&text, "\r\n--frame\r\n\r\n");
		add(&text, picture_q50_420, sizeof(picture_q50_420));
		add_words(&text, "\r\n--frame--\r\n");
		told = run(text.p, text.n, 100);
		if (told.pictures != 1 || told.dropped != 1 || !told.same)
			fail_msg("cut at %zu: %zu pictures, %zu dropped", cut, told.pictures,
				told.dropped);
	}
}

static void test_h2_bytes_behind_the_end_are_cut(void **state)
{
	struct text text = { 0 };
	struct told told;

	(void)state;
	add(&text, picture_q50_420, sizeof(picture_q50_420));
	add_words(&text, "padding\xff\xd9\xff");
	add(&text, "\0\0\0\xff\xe0", 5);
	add(&text, picture_q50_420, sizeof(picture_q50_420));
	for (size_t step = 1; step < 40; step++) {
		told = run(text.p, text.n, step);
		assert_int_equal(told.pictures, 2);
		assert_int_equal(told.dropped, 0);
		assert_true(told.same);
	}
}

static void test_h2_a_change_of_size_is_said_with_the_picture(void **state)
{
	struct text text = { 0 };
	struct told told;

	(void)state;
	add(&text, picture_q50_420, sizeof(picture_q50_420));
	add(&text, picture_grey, sizeof(picture_grey));
	add(&text, picture_restart, sizeof(picture_restart));
	told = run(text.p, text.n, 11);
	assert_int_equal(told.pictures, 3);
	assert_int_equal(told.widths[0], 32);
	assert_int_equal(told.widths[1], 16);
	assert_int_equal(told.widths[2], 32);
}

/* A picture that never ends costs 16 MiB and no more, is counted once, and the next one comes. */
static void test_a_picture_without_end_is_bounded(void **state)
{
	static uint8_t filler[1 << 20];
	struct told told = { .same = true };
	struct mjpeg m = { .events = &events, .arg = &told };
	struct jpeg jpeg;
	const char *why;

	(void)state;
	assert_int_equal(jpeg_parse(&jpeg, picture_q50_420, sizeof(picture_q50_420), &why), 0);
	mjpeg_push(&m, picture_q50_420, jpeg.scan_at + 14);
	for (int i = 0; i < 20; i++) {
		mjpeg_push(&m, filler, sizeof(filler));
		assert_true(m.capacity <= MJPEG_BYTES);
	}
	assert_int_equal(told.dropped, 1);
	assert_string_equal(told.why, "the picture is larger than 16 MiB");
	mjpeg_push(&m, picture_q50_420, sizeof(picture_q50_420));
	assert_int_equal(told.pictures, 1);
	assert_true(told.same);
	mjpeg_end(&m);
	assert_int_equal(told.dropped, 1);
	mjpeg_fini(&m);
}

/* Bytes without a picture are not kept. */
static void test_what_is_no_picture_is_thrown_away(void **state)
{
	static const uint8_t page[8192] = { '<', 'h', 't', 'm', 'l', '>' };
	struct told told = { .same = true };
	struct mjpeg m = { .events = &events, .arg = &told };

	(void)state;
	for (int i = 0; i < 100; i++)
		mjpeg_push(&m, page, sizeof(page));
	assert_true(m.n <= 2);
	assert_true(m.capacity <= 64 << 10);
	mjpeg_end(&m);
	assert_int_equal(told.begun + told.pictures + told.dropped, 0);
	mjpeg_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_h1_every_spelling_of_a_part),
		cmocka_unit_test(test_h1_every_cut_costs_the_last_picture_at_most),
		cmocka_unit_test(test_h2_a_truncated_part_is_counted_and_left_out),
		cmocka_unit_test(test_h2_bytes_behind_the_end_are_cut),
		cmocka_unit_test(test_h2_a_change_of_size_is_said_with_the_picture),
		cmocka_unit_test(test_a_picture_without_end_is_bounded),
		cmocka_unit_test(test_what_is_no_picture_is_thrown_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
