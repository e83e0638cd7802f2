#pragma once

#include <stdint.h>

#include "server/media/bits.h"

/*
 * Reads how a picture is to be shown, with which the VUI of H.264 (section E.1.1) and H.265 (section E.2.1) begin: the sample aspect
 * ratio, which stays as it is where none is said, overscan, the video signal, and where chroma samples are.
 */
void vui_read_display(struct bits *b, uint32_t *aspect_width, uint32_t *aspect_height);
