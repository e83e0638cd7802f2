#pragma once

struct config;

/*
 * Which device this nvrd is: the same after a restart, another on another machine, or with another store. The machine's id is not to be
 * learnt from it (machine-id(5)).
 */
enum {
	ONVIF_UUID_BYTES = 37 /* "2fdd9f5a-…", with NUL */
};
/* Blocks: before the reactor runs. Returns ret. */
char *onvif_identity(char ret[ONVIF_UUID_BYTES], const char *store);

/* Which device one camera is (onvif.devices): of nvrd's own and the camera's name, and so as stable. Returns ret. */
char *onvif_identity_of(char ret[ONVIF_UUID_BYTES], const char *uuid, const char *camera);
/* A hardware address for it, of those that are administered locally (IEEE 802): "a6:2f:…". Returns ret. */
enum {
	ONVIF_HARDWARE_BYTES = 18
};
char *onvif_hardware_address(char ret[ONVIF_HARDWARE_BYTES], const char *uuid);
/*
 * The scopes (ONVIF Core Specification, "Scope parameters") of nvrd (NULL), or of the device that a camera is: URIs with blanks between
 * them, which the caller frees.
 */
char *onvif_write_scopes(const struct config *config, const char *camera);
