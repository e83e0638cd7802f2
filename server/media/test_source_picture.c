#include "server/media/test_source_private.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "server/base/attributes.h"

/* Colour bars, a clock, a counter and a moving box. Only the luma of the dark strip ever changes. */

enum {
	TEST_STRIP_Y = 240, /* colour bars above, a dark strip with text below */
	TEST_TEXT_Y = 256,
	TEST_BOX_Y = 308,
	TEST_BOX = 32,
};

enum {
	GLYPH_ROWS = 7,
	GLYPH_COLUMNS = 5,
	GLYPH_SCALE = 4,
	GLYPH_ADVANCE = 6 * GLYPH_SCALE
};

/* Rows from the top, the leftmost column in bit 4. */
static const struct test_glyph {
	char character;
	uint8_t rows[GLYPH_ROWS];
} test_glyphs[] = {
	{'0',  { 0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e }},
	{ '1', { 0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e }},
	{ '2', { 0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f }},
	{ '3', { 0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e }},
	{ '4', { 0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02 }},
	{ '5', { 0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e }},
	{ '6', { 0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e }},
	{ '7', { 0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08 }},
	{ '8', { 0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e }},
	{ '9', { 0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c }},
	{ ':', { 0x00, 0x0c, 0x0c, 0x00, 0x0c, 0x0c, 0x00 }},
	{ '.', { 0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x0c }},
	{ '-', { 0x00, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x00 }},
	{ 'N', { 0x11, 0x11, 0x19, 0x15, 0x13, 0x11, 0x11 }},
	{ 'V', { 0x11, 0x11, 0x11, 0x11, 0x11, 0x0a, 0x04 }},
	{ 'R', { 0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11 }},
	{ 'D', { 0x1c, 0x12, 0x11, 0x11, 0x11, 0x12, 0x1c }},
};

enum {
	LUMA_DARK = 24,
	LUMA_LIGHT = 235,
	CHROMA_NEUTRAL = 128
};

static void test_fill(AVFrame *frame, int plane, int x, int y, int width, int height, int value)
{
	int stride = frame->linesize[plane];

	for (int row = 0; row < height; row++)
		memset(frame->data[plane] + (y + row) * stride + x, value, (size_t)width);
}

/* The seven bars of 75 %, in the order of their luma; then the dark strip. */
static void test_draw_background(AVFrame *frame)
{
	static const uint8_t bars[][3] = {
		{180,  128, 128},
                { 162, 44,  142},
                { 131, 156, 44 },
                { 112, 72,  58 },
		{ 84,  184, 198},
                { 65,  100, 212},
                { 35,  212, 114}
	};
	const int bars_count = ARRAY_LENGTH(bars);

	for (int i = 0; i < bars_count; i++) {
		int from = TEST_WIDTH / 2 * i / bars_count;
		int width = TEST_WIDTH / 2 * (i + 1) / bars_count - from;

		test_fill(frame, 0, 2 * from, 0, 2 * width, TEST_STRIP_Y, bars[i][0]);
		test_fill(frame, 1, from, 0, width, TEST_STRIP_Y / 2, bars[i][1]);
		test_fill(frame, 2, from, 0, width, TEST_STRIP_Y / 2, bars[i][2]);
	}
	test_fill(frame, 0, 0, TEST_STRIP_Y, TEST_WIDTH, TEST_HEIGHT - TEST_STRIP_Y, LUMA_DARK);
	for (int plane = 1; plane <= 2; plane++)
		test_fill(frame, plane, 0, TEST_STRIP_Y / 2, TEST_WIDTH / 2,
			(TEST_HEIGHT - TEST_STRIP_Y) / 2, CHROMA_NEUTRAL);
}

/* Draws a cell over whatever was there; unknown characters are blank. */
static void test_draw_glyph(AVFrame *frame, int x, int y, char character)
{
	const uint8_t *rows = NULL;

	for (size_t i = 0; i < ARRAY_LENGTH(test_glyphs); i++)
		if (test_glyphs[i].character == character)
			rows = test_glyphs[i].rows;
	for (int row = 0; row < GLYPH_ROWS; row++) {
		for (int column = 0; column < GLYPH_COLUMNS; column++) {
			bool set = rows && rows[row] >> (GLYPH_COLUMNS - 1 - column) & 1;

			test_fill(frame, 0, x + column * GLYPH_SCALE, y + row * GLYPH_SCALE,
				GLYPH_SCALE, GLYPH_SCALE, set ? LUMA_LIGHT : LUMA_DARK);
		}
	}
}

static void test_draw_text(AVFrame *frame, int x, const char *text)
{
	for (; *text; text++, x += GLYPH_ADVANCE)
		test_draw_glyph(frame, x, TEST_TEXT_Y, *text);
}

/* The box goes from side to side, 4 pixels a beat. */
static int test_box_x(int64_t beat)
{
	const int room = TEST_WIDTH - TEST_BOX;
	int at = (int)(beat * 4 % (2 * (int64_t)room));

	return at < room ? at : 2 * room - at;
}

void test_picture_draw(AVFrame *frame, int64_t beat, int64_t utc_us)
{
	time_t seconds = (time_t)(utc_us / 1000000);
	char text[32] = "";
	struct tm local;

	if (localtime_r(&seconds, &local))
		(void)snprintf(text, sizeof(text), "%02d:%02d:%02d.%d", local.tm_hour, local.tm_min,
			local.tm_sec, (int)(utc_us % 1000000 / 100000));
	test_draw_text(frame, 16, text);
	(void)snprintf(text, sizeof(text), "%07d", (int)(beat % 10000000));
	test_draw_text(frame, 456, text);
	test_fill(frame, 0, 0, TEST_BOX_Y, TEST_WIDTH, TEST_BOX, LUMA_DARK);
	test_fill(frame, 0, test_box_x(beat), TEST_BOX_Y, TEST_BOX, TEST_BOX, LUMA_LIGHT);
}

void test_picture_prepare(AVFrame *frame)
{
	test_draw_background(frame);
	test_draw_text(frame, 292, "NVRD");
}
