/* What the video usability information of H.264 and H.265 have in common: see vui.h. */
#include "server/media/vui.h"

#include "server/base/attributes.h"

static void vui_read_aspect(struct bits *b, uint32_t *aspect_width, uint32_t *aspect_height)
{
	/* H.264 table E-1, which is H.265's as well */
	static const uint8_t ratios[][2] = {
		{1,    1 },
                { 1,   1 },
                { 12,  11},
                { 10,  11},
                { 16,  11},
                { 40,  33},
                { 24,  11},
		{ 20,  11},
                { 32,  11},
                { 80,  33},
                { 18,  11},
                { 15,  11},
                { 64,  33},
                { 160, 99},
		{ 4,   3 },
                { 3,   2 },
                { 2,   1 }
	};
	uint32_t index = bits_read(b, 8);
	uint32_t width = 1;
	uint32_t height = 1;

	if (index == 255) {
		width = bits_read(b, 16);
		height = bits_read(b, 16);
	} else if (index < ARRAY_LENGTH(ratios)) {
		width = ratios[index][0];
		height = ratios[index][1];
	}
	if (width && height) {
		*aspect_width = width;
		*aspect_height = height;
	}
}

void vui_read_display(struct bits *b, uint32_t *aspect_width, uint32_t *aspect_height)
{
	if (bits_read(b, 1))
		vui_read_aspect(b, aspect_width, aspect_height);
	if (bits_read(b, 1))
		bits_skip(b, 1); /* overscan_appropriate_flag */
	if (bits_read(b, 1)) {
		bits_skip(b, 4);
		if (bits_read(b, 1))
			bits_skip(b, 24);
	}
	if (bits_read(b, 1)) { /* chroma_loc_info */
		(void)bits_ue(b);
		(void)bits_ue(b);
	}
}
