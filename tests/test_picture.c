/* Pictures that many ask for: made once, not made for nobody, bounded in number and bytes. */
#include "server/media/picture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "server/base/attributes.h"
#include "server/base/metrics.h"
#include "tests/jpeg_pictures.h"
#include "tests/reactor_until.h"

enum {
	MANY = 100
};

static AVPacket *keyframe;
static AVCodecParameters *parameters;

static int set_up(void **state)
{
	(void)state;
	reactor_init();
	keyframe = av_packet_alloc();
	if (av_new_packet(keyframe, sizeof(picture_q50_420)) < 0)
		return -1;
	memcpy(keyframe->data, picture_q50_420, sizeof(picture_q50_420));
	parameters = avcodec_parameters_alloc();
	parameters->codec_type = AVMEDIA_TYPE_VIDEO;
	parameters->codec_id = AV_CODEC_ID_MJPEG;
	parameters->width = 32;
	parameters->height = 16;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	picture_fini();
	av_packet_free(&keyframe);
	avcodec_parameters_free(&parameters);
	reactor_fini();
	metrics_fini();
	return 0;
}

/* One that has to be made. */
static struct picture_order order_at(int64_t at_us)
{
	return (struct picture_order){ .source = "live/porch",
		.at_us = at_us,
		.parameters = parameters,
		.packet = keyframe,
		.rotation = 180,
		.width = 16 };
}

static double decodes(const char *result)
{
	return metric_value(metric_get(METRIC_PICTURES_DECODED, result));
}

struct answers {
	unsigned n, errors;
	int error;
	struct picture *picture; /* the last one */
	bool same;
};

static void on_picture(void *arg, int error, struct picture *picture)
{
	struct answers *answers = arg;

	assert_true(!picture == !!error);
	answers->same = !answers->n || answers->picture == picture;
	answers->n++;
	answers->errors += error != 0;
	answers->error = error;
	picture_unref(&answers->picture);
	answers->picture = picture ? picture_ref(picture) : NULL;
}

static void make(const struct picture_order *order)
{
	struct answers answers = { 0 };

	assert_non_null(picture_get(order, on_picture, &answers));
	REACTOR_UNTIL(answers.n);
	picture_unref(&answers.picture);
}

static void test_many_ask_one_is_made(void **state)
{
	struct picture_order order = order_at(1);
	struct answers answers = { 0 };
	struct picture *found = NULL;
	struct evbuffer *out = evbuffer_new();

	(void)state;
	assert_int_equal(picture_find(&order, &found), -EINPROGRESS);
	for (unsigned i = 0; i < MANY; i++)
		assert_non_null(picture_get(&order, on_picture, &answers));
	assert_int_equal(answers.n, 0);
	REACTOR_UNTIL(answers.n == MANY);
	assert_int_equal(answers.errors, 0);
	assert_true(answers.same);
	assert_int_equal(picture_find(&order, &found), 0);
	assert_ptr_equal(found, answers.picture);
	assert_true(decodes("made") == 1);
	/* two buffers, one JPEG */
	picture_append(found, out);
	picture_append(found, out);
	assert_int_equal(evbuffer_get_length(out), 2 * picture_bytes(found));
	struct evbuffer_iovec pieces[2];
	assert_int_equal(evbuffer_peek(out, -1, NULL, pieces, 2), 2);
	assert_ptr_equal(pieces[0].iov_base, pieces[1].iov_base);
	picture_unref(&found);
	picture_unref(&answers.picture);
	evbuffer_free(out);
}

static void test_others_are_others(void **state)
{
	struct picture_order orders[] = { order_at(1), order_at(2), order_at(1), order_at(1) };
	char tags[ARRAY_LENGTH(orders)][PICTURE_TAG_BYTES];
	struct picture *found = NULL;

	(void)state;
	orders[2].width = 24;
	strcpy(orders[3].source, "live/porch/sub");
	for (size_t i = 0; i < ARRAY_LENGTH(orders); i++) {
		assert_int_equal(picture_find(&orders[i], &found), -EINPROGRESS);
		make(&orders[i]);
		picture_tag(tags[i], &orders[i]);
	}
	assert_int_equal(decodes("made"), ARRAY_LENGTH(orders));
	assert_string_not_equal(tags[0], tags[1]);
	assert_string_not_equal(tags[0], tags[2]);
}

static void test_nobody_waits_nothing_is_made(void **state)
{
	struct picture_order first = order_at(1), second = order_at(2);
	struct picture_request *requests[2];
	struct answers answers = { 0 };

	(void)state;
	/* the first keeps the worker busy while the second one is asked for */
	for (int64_t i = 10; i < 10 + PICTURE_JOBS - 2; i++) {
		struct picture_order before = order_at(i);

		assert_non_null(picture_get(&before, on_picture, &answers));
	}
	requests[0] = picture_get(&second, on_picture, &answers);
	requests[1] = picture_get(&second, on_picture, &answers);
	picture_cancel(requests[0]);
	picture_cancel(requests[1]);
	assert_non_null(picture_get(&first, on_picture, &answers));
	REACTOR_UNTIL(answers.n == PICTURE_JOBS - 1);
	assert_true(decodes("made") == PICTURE_JOBS - 1);
	picture_unref(&answers.picture);
	make(&second); /* it is made for who comes then */
}

static void test_the_queue_is_bounded(void **state)
{
	struct answers answers = { 0 };
	unsigned taken = 0;

	(void)state;
	for (int64_t i = 0; i < PICTURE_JOBS + 10; i++) {
		struct picture_order order = order_at(i);

		taken += picture_get(&order, on_picture, &answers) != NULL;
	}
	assert_int_equal(taken, PICTURE_JOBS);
	REACTOR_UNTIL(answers.n == taken);
	picture_unref(&answers.picture);
}

static void test_what_is_kept_is_bounded(void **state)
{
	struct picture_order first = order_at(0);
	struct picture *found = NULL;

	(void)state;
	for (int64_t i = 0; i < PICTURE_KEPT; i++) {
		struct picture_order order = order_at(i);

		make(&order);
	}
	assert_int_equal(picture_find(&first, &found), 0); /* now it is the one asked for last */
	picture_unref(&found);
	struct picture_order next = order_at(PICTURE_KEPT), second = order_at(1);
	make(&next);
	assert_int_equal(picture_find(&first, &found), 0);
	picture_unref(&found);
	assert_int_equal(picture_find(&second, &found), -EINPROGRESS);
	assert_true(metric_value(metric_get(METRIC_PICTURES_KEPT)) <= PICTURE_KEPT_BYTES);
}

static void test_a_live_one_replaces_the_one_before(void **state)
{
	struct picture_order old = order_at(1), other = order_at(1), next = order_at(2);
	struct picture *found = NULL;

	(void)state;
	old.live = other.live = next.live = true;
	other.width = 24;
	make(&old);
	make(&other);
	make(&next);
	assert_int_equal(picture_find(&old, &found), -EINPROGRESS);
	assert_int_equal(picture_find(&other, &found), 0);
	picture_unref(&found);
	assert_int_equal(picture_find(&next, &found), 0);
	picture_unref(&found);
}

static void test_what_cannot_be_decoded_is_not_tried_again(void **state)
{
	struct picture_order order = order_at(1);
	struct answers answers = { 0 };
	struct picture *found = NULL;

	(void)state;
	memset(keyframe->data, 0, (size_t)keyframe->size);
	assert_non_null(picture_get(&order, on_picture, &answers));
	REACTOR_UNTIL(answers.n);
	assert_int_equal(answers.error, -EBADMSG);
	assert_int_equal(picture_find(&order, &found), -EBADMSG);
	assert_null(found);
	assert_true(decodes("failed") == 1 && decodes("made") == 0);
}

static void test_cameras_jpegs_are_what_they_are(void **state)
{
	static const struct {
		int rotation;
		unsigned width;
		bool passed;
	} cases[] = {
		{0,   0,   true },
		{ 0,  32,  true },
		{ 0,  100, true },
		{ 0,  16,  false},
		{ 90, 0,   false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct picture_order order = order_at(1);
		struct picture *found = NULL;

		order.rotation = cases[i].rotation;
		order.width = cases[i].width;
		assert_int_equal(picture_find(&order, &found), cases[i].passed ? 0 : -EINPROGRESS);
		if (!found)
			continue;
		struct evbuffer *out = evbuffer_new();
		picture_append(found, out);
		assert_int_equal(evbuffer_get_length(out), sizeof(picture_q50_420));
		assert_memory_equal(
			evbuffer_pullup(out, -1), picture_q50_420, sizeof(picture_q50_420));
		evbuffer_free(out);
		picture_unref(&found);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_many_ask_one_is_made, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_others_are_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_nobody_waits_nothing_is_made, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_queue_is_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_kept_is_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_live_one_replaces_the_one_before, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_what_cannot_be_decoded_is_not_tried_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_cameras_jpegs_are_what_they_are, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
