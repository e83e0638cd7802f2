#pragma once

/*
 * Which device this nvrd is: the same after a restart, another on another machine, or with another store. The machine's id is not to be
 * learnt from it (machine-id(5)).
 */
enum {
	ONVIF_UUID_BYTES = 37 /* "2fdd9f5a-…", with NUL */
};
/* Blocks: before the reactor runs. Returns ret. */
char *onvif_identity(char ret[ONVIF_UUID_BYTES], const char *store);
