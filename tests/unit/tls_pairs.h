/*
 * tls_pairs: more certificates, revocations and keys than tls_certificates has; made once by
 * openssl, valid for a hundred years.
 */
#ifndef TESTS_UNIT_TLS_PAIRS_H
#define TESTS_UNIT_TLS_PAIRS_H

/* RSA 2048; server.example, rsa.example */
static const char rsa_pem[] = "-----BEGIN CERTIFICATE-----\n"
			      "MIIDPTCCAiWgAwIBAgIUDtqzOrEYKC6HN4mTe6DwnY8/TLcwDQYJKoZIhvcNAQEL\n"
			      "BQAwGTEXMBUGA1UEAwwOc2VydmVyLmV4YW1wbGUwIBcNMjYxMTI0MjMwNDQ2WhgP\n"
			      "MjEyNjEwMzEyMzA0NDZaMBkxFzAVBgNVBAMMDnNlcnZlci5leGFtcGxlMIIBIjAN\n"
			      "BgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr+QOMAHH8EBJkBa0zYjoML1zbQQn\n"
			      "Wpu6IS/lGLivlkv18Bf3hU8IGMQe5zG6wH2ZRCQTp4mYcvLPO3tABJCsOhvKBVyZ\n"
			      "JA47eTPttWf9i1Z4eNLdB/ODC3UBjeX+m/DnTv85gUvgXJ5O4SLZh+nv9b1ev56V\n"
			      "AJBBAKum9ugq2eGThE4q5JJnmSWKl8umL7WTKktk0VneVEv9envXnnZN1gAtWTN4\n"
			      "BcuIXxXhthjbXlYYzMbwx7Th+wxWeYJVvVwSLF+uxwd6Lg3KtLTmVmO+kRxV2Wwa\n"
			      "IlX/dxKgz3sS8pcTpUn5ziQrg5rdNDDy8n/2BDJncIKD9sjHloRsm8R66wIDAQAB\n"
			      "o3sweTAdBgNVHQ4EFgQUrU3hVyfmgGWJ7eC5QZHubJwl6wEwHwYDVR0jBBgwFoAU\n"
			      "rU3hVyfmgGWJ7eC5QZHubJwl6wEwDwYDVR0TAQH/BAUwAwEB/zAmBgNVHREEHzAd\n"
			      "gg5zZXJ2ZXIuZXhhbXBsZYILcnNhLmV4YW1wbGUwDQYJKoZIhvcNAQELBQADggEB\n"
			      "AH9b7rdtM+ubIQuJFM4v/l8dl2ljrrczYuVcbA6dcP2bX4S4AIDRuXp5DYk4+ro6\n"
			      "mQNIb+RJ02m70RuOC+KkglJfV+cKLfZ6Kn17Bg/f/12EiPgBWnDxPnx1tSZU9WKz\n"
			      "ee90cMoimRKQgX3T1qZBL1XOsV/0NwWJE/Ar9UD2QgljRHD8Z4zHfhohHpSYVOUA\n"
			      "47RfUV12p8QaMtOblHWlB4V7zJOEJZQYY3l5lciv+5dHm3LkknOiqElBUtk+zhcz\n"
			      "E4FJheY7wv94b+ZNL4XMO3kWkH5FQVtZkA8sBqXWtnueqsl9aha6Nenw+HVnx9gi\n"
			      "RcEKTYN/lw2pbRWw/3i+fRA=\n"
			      "-----END CERTIFICATE-----\n";

static const char rsa_key[] = "-----BEGIN PRIVATE KEY-----\n"
			      "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCv5A4wAcfwQEmQ\n"
			      "FrTNiOgwvXNtBCdam7ohL+UYuK+WS/XwF/eFTwgYxB7nMbrAfZlEJBOniZhy8s87\n"
			      "e0AEkKw6G8oFXJkkDjt5M+21Z/2LVnh40t0H84MLdQGN5f6b8OdO/zmBS+Bcnk7h\n"
			      "ItmH6e/1vV6/npUAkEEAq6b26CrZ4ZOETirkkmeZJYqXy6YvtZMqS2TRWd5US/16\n"
			      "e9eedk3WAC1ZM3gFy4hfFeG2GNteVhjMxvDHtOH7DFZ5glW9XBIsX67HB3ouDcq0\n"
			      "tOZWY76RHFXZbBoiVf93EqDPexLylxOlSfnOJCuDmt00MPLyf/YEMmdwgoP2yMeW\n"
			      "hGybxHrrAgMBAAECggEAFISY9xauGSOWsT1E2BkZZN4kwdnTMWmrG8X3hpu8t96i\n"
			      "kOBq2l0ux5zRMg0GCQBdyaoftNKDOx2B+SFWhXHO9XRaa6eyoZcbbvcUyq2X0RJE\n"
			      "OWv3pr7MUaDTjpb+zXgbs4ZoUeHlCUjaUL78+zLZ8COoEthP72Hkg0yCzJimrwXE\n"
			      "2gxU7iw5UFvFMTdyR8lk9IN1+1+euqiAX/sXlWxyNTSVDoVNJmKa6LiOHDCcKpwP\n"
			      "OpiZIINgx7KrZaAKGECJqI2yOMddYKZPNBdsNWTehyjOXfmsTw8iOb47nfn04Ru9\n"
			      "Qr1m7/5umE+OrNXf+csLGTATZ+nvGqeOQhl554F/EQKBgQDfW8cg4ieBVOrt0teU\n"
			      "K7JPxCEhx2MCl4dbIQrjEbrd3D+z2nZ4pxoZWNfh41sVMQS7zZ/2zDuVM+t9I6Zy\n"
			      "PBMhnXJWN3bGIHAIbhS563mBb2Tp+9cJ/e6ptg8UwamC5EirsfZ+F6C4L3wTeqZF\n"
			      "EbCrLQYWG+IImSP9Jeu25HdDaQKBgQDJmG5terGjk5Z6tu9VC/W1ykYsLG9FNXGW\n"
			      "gz/hJOQrLHTjVzZ+3IIKjj8cKS2Jy2W6Zod1cPWF3mtir1GZ5KZm5QHyg2Pk13rf\n"
			      "GAaY0ViLSXP/HEzTChGiipV3fJIlKqXtCoJ5jnxDyYRRXPfZhX4xar1kc453QsQR\n"
			      "z1ZOnQkFMwKBgBpkfeMk1gYyQpBXmaGoiClkw4V6SfjEbvoVrXOnZK1SmTRnXBhl\n"
			      "pm/YT6ohc2HNqQGICp7fAyteNzVSQRi+gIQ4VopZg29l5dcZKtnNOU5SG1qKp55G\n"
			      "oyzqll2dhKoyz2N6Y+YCZLte4QpsM7l1naqcZ1u1b8AUWGxRTskNtgoBAoGAIhLO\n"
			      "j1iOj8xRQdqLpz9HP3u50puMDxGSalMyx9YZbqar9wT1pAmXPTt/tT3MgZ7MSe4s\n"
			      "dRArn33RfrONQkqgSYHpi1jj2HkHPo/sBYZUxe4bWgIphf4MrwFnc/OtK/UCaIc/\n"
			      "OFZ58GcuIyZoie6DPs0Ax+q0KLozM6NsvgrSzHsCgYEA2GWf96ygCUgw8GgqFqyZ\n"
			      "8NktdOVWsCh8lNVoPv45xIwYC9aIlyLiuqhAoIMolSz4X37ZpxwI6sN4z3AEiiSD\n"
			      "fKFM9WSqy+vuRFj10ADn6O1DVcYdPO8VxMh8dCq2dQyl80MFWIPPurrzOageo77O\n"
			      "6dfAfQiq2HIntrp8b38Rd2E=\n"
			      "-----END PRIVATE KEY-----\n";

/* P-384; server.example */
static const char p384_pem[] = "-----BEGIN CERTIFICATE-----\n"
			       "MIIB4TCCAWegAwIBAgIUYgsZyJTAALFnwkL8Uup+tosVZJswCgYIKoZIzj0EAwIw\n"
			       "GTEXMBUGA1UEAwwOc2VydmVyLmV4YW1wbGUwIBcNMjYxMTI0MjMwNDQ2WhgPMjEy\n"
			       "NjEwMzEyMzA0NDZaMBkxFzAVBgNVBAMMDnNlcnZlci5leGFtcGxlMHYwEAYHKoZI\n"
			       "zj0CAQYFK4EEACIDYgAEum22dg+ny3UNGltjipOClixXaOhMH5XP4TXSlwXNTfQd\n"
			       "1dOEjTJVUNAbAz7Foq4lDNnQ8fNwdfFL09P9NLkG6FMu1KN2cFQkUDvfIZQIsRue\n"
			       "soxesp9AaRqE41jFWRZ7o24wbDAdBgNVHQ4EFgQUXM61ZWqOh0Pl7wrzs/Sg0c/C\n"
			       "Dy0wHwYDVR0jBBgwFoAUXM61ZWqOh0Pl7wrzs/Sg0c/CDy0wDwYDVR0TAQH/BAUw\n"
			       "AwEB/zAZBgNVHREEEjAQgg5zZXJ2ZXIuZXhhbXBsZTAKBggqhkjOPQQDAgNoADBl\n"
			       "AjAvsV4irRK68owSdLHQR23rtFFACe73vSuejzeHB7VO87zj7XuQ14bIjIB1wNH1\n"
			       "NB4CMQCGG6W4ujjlXdePmb/sdO+9ZKF/7goAjUVyLuQKPshY/47sUD3VbTLrkiCc\n"
			       "QyI1mww=\n"
			       "-----END CERTIFICATE-----\n";

static const char p384_key[] = "-----BEGIN EC PRIVATE KEY-----\n"
			       "MIGkAgEBBDBLrUEPKiUzHQGmj+/PaC1ShkaaJGViF40hpZA5xskz7w0kFv72mdoO\n"
			       "MjJkOxb0NRqgBwYFK4EEACKhZANiAAS6bbZ2D6fLdQ0aW2OKk4KWLFdo6Ewflc/h\n"
			       "NdKXBc1N9B3V04SNMlVQ0BsDPsWiriUM2dDx83B18UvT0/00uQboUy7Uo3ZwVCRQ\n"
			       "O98hlAixG56yjF6yn0BpGoTjWMVZFns=\n"
			       "-----END EC PRIVATE KEY-----\n";

/* P-256; example.com, WWW.Example.COM, *.sub.example.com, and a * that means nothing */
static const char names_pem[] = "-----BEGIN CERTIFICATE-----\n"
				"MIIB2TCCAX+gAwIBAgIULkJq/xnWMMMkLnRdw3D1sVmsKKwwCgYIKoZIzj0EAwIw\n"
				"GjEYMBYGA1UEAwwPaWdub3JlZC5leGFtcGxlMCAXDTI2MTEyNDIzMDQ0NloYDzIx\n"
				"MjYxMDMxMjMwNDQ2WjAaMRgwFgYDVQQDDA9pZ25vcmVkLmV4YW1wbGUwWTATBgcq\n"
				"hkjOPQIBBggqhkjOPQMBBwNCAASu40Ahxg5CW8mXutdBEtDTDiqJfQePhyR0ktHU\n"
				"rhGo69mEyagqnCoke3+Wvu2prjRx+U8uEDDpA4SaW77RYsupo4GgMIGdMB0GA1Ud\n"
				"DgQWBBSEsEPUS1oBdwOCiMlqmDvucvJWhTAfBgNVHSMEGDAWgBSEsEPUS1oBdwOC\n"
				"iMlqmDvucvJWhTAPBgNVHRMBAf8EBTADAQH/MEoGA1UdEQRDMEGCC2V4YW1wbGUu\n"
				"Y29tgg9XV1cuRXhhbXBsZS5DT02CESouc3ViLmV4YW1wbGUuY29tgg54Ki5vZGQu\n"
				"ZXhhbXBsZTAKBggqhkjOPQQDAgNIADBFAiBeUlHPDo6JqwGylvMNnKaQhbR9IJMH\n"
				"3taTTDdIvGD7IwIhAOryg5G4qpz8dDeJqadvHbeKngrr5l3TIUeRQleA5G+e\n"
				"-----END CERTIFICATE-----\n";

static const char names_key[] = "-----BEGIN EC PRIVATE KEY-----\n"
				"MHcCAQEEIP4l86n8lJ0Q385zL588LKs0uZQJ1/wWlkfVe3xJvKf+oAoGCCqGSM49\n"
				"AwEHoUQDQgAEruNAIcYOQlvJl7rXQRLQ0w4qiX0Hj4ckdJLR1K4RqOvZhMmoKpwq\n"
				"JHt/lr7tqa40cflPLhAw6QOEmlu+0WLLqQ==\n"
				"-----END EC PRIVATE KEY-----\n";

/* no subjectAltName, CN=Cn.Example */
static const char plain_pem[] = "-----BEGIN CERTIFICATE-----\n"
				"MIIBnTCCAUOgAwIBAgIUHxyjl6vpSWEt+3F//uYDvybdjcAwCgYIKoZIzj0EAwIw\n"
				"IzEMMAoGA1UECgwDT3JnMRMwEQYDVQQDDApDbi5FeGFtcGxlMCAXDTI2MTEyNDIz\n"
				"MDQ0NloYDzIxMjYxMDMxMjMwNDQ2WjAjMQwwCgYDVQQKDANPcmcxEzARBgNVBAMM\n"
				"CkNuLkV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATnm8yyhDlS7eC5\n"
				"Pfa8P2z77gxX1dO6ACWNNU0ZSmneJSdViXsErKFrGX5E4yYvcxkkFKLiaFcT/ooH\n"
				"Vz1ORMqwo1MwUTAdBgNVHQ4EFgQUUaKQcP+RE66cHqY/nETtQgpqAD4wHwYDVR0j\n"
				"BBgwFoAUUaKQcP+RE66cHqY/nETtQgpqAD4wDwYDVR0TAQH/BAUwAwEB/zAKBggq\n"
				"hkjOPQQDAgNIADBFAiBjMvbIxgeQy0NFpA6xkCIGHelDfuCiwQ8UTaHIIVrESgIh\n"
				"AIJKAUVgOjbqsgxy7A5emUFFDtL9BLLOQ6FihiTwWnPk\n"
				"-----END CERTIFICATE-----\n";

static const char plain_key[] = "-----BEGIN EC PRIVATE KEY-----\n"
				"MHcCAQEEINcwbxyBhfrEKW/JOKUDzgh6se8lGliFHfCXe4ecSc6LoAoGCCqGSM49\n"
				"AwEHoUQDQgAE55vMsoQ5Uu3guT32vD9s++4MV9XTugAljTVNGUpp3iUnVYl7BKyh\n"
				"axl+ROMmL3MZJBSi4mhXE/6KB1c9TkTKsA==\n"
				"-----END EC PRIVATE KEY-----\n";

/* The authority of what follows, and its revocation list. */
static const char cca_pem[] = "-----BEGIN CERTIFICATE-----\n"
			      "MIIBizCCATGgAwIBAgIUCHx/mz96I7+TegRsc6B+CoDeEtIwCgYIKoZIzj0EAwIw\n"
			      "EjEQMA4GA1UEAwwHQ2xpZW50czAgFw0yNjExMjQyMzA0NDZaGA8yMTI2MTAzMTIz\n"
			      "MDQ0NlowEjEQMA4GA1UEAwwHQ2xpZW50czBZMBMGByqGSM49AgEGCCqGSM49AwEH\n"
			      "A0IABBrGsy9Orn2bKHZMUvUUjMY4wbxUnQHN+hkEuWMFbcpw26KflYvG6SyrtG0z\n"
			      "e7gIAlayy8QI2wdPYCVmjw4Ld5KjYzBhMB0GA1UdDgQWBBSRs75hcAqn0o7ngKXK\n"
			      "XgmV415OoDAfBgNVHSMEGDAWgBSRs75hcAqn0o7ngKXKXgmV415OoDAPBgNVHRMB\n"
			      "Af8EBTADAQH/MA4GA1UdDwEB/wQEAwIBBjAKBggqhkjOPQQDAgNIADBFAiB+nRtd\n"
			      "UIiRQVjUx92O2WdSounvh2KT+NgQFrBRt7xNJgIhAK0qYt8+V8sn7b9VqB++7zUF\n"
			      "3/IinERx1VG6iOgWMwhW\n"
			      "-----END CERTIFICATE-----\n";

static const char crl_pem[] = "-----BEGIN X509 CRL-----\n"
			      "MIHCMGoCAQEwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHQ2xpZW50cxcNMjYxMTI0\n"
			      "MjMwNDQ2WhgPMjEyNjEwMzEyMzA0NDZaMBUwEwICEAEXDTI2MTEyNDIzMDQ0Nlqg\n"
			      "DjAMMAoGA1UdFAQDAgEBMAoGCCqGSM49BAMCA0gAMEUCIDD9jyg4pipiWxLzSAlx\n"
			      "nBGIxBFKlzSdIgujO20OXfwfAiEAncGSaHGc/KNvCEtQG7kAQ/qKjUVP5kVLi4+B\n"
			      "me2PQNw=\n"
			      "-----END X509 CRL-----\n";

static const char good_pem[] = "-----BEGIN CERTIFICATE-----\n"
			       "MIIBYDCCAQagAwIBAgICEAAwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHQ2xpZW50\n"
			       "czAgFw0yNjExMjQyMzA0NDZaGA8yMTI2MTAzMTIzMDQ0NlowDzENMAsGA1UEAwwE\n"
			       "Z29vZDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABEnVuT783okLfO/vOWBj6Ffx\n"
			       "aEHqAewfPRupWOEA5Bo5y5DWMm+4mmuoSsWb46wNRWFSb2sW4DE4/gxjwRpeEzej\n"
			       "TTBLMAkGA1UdEwQCMAAwHQYDVR0OBBYEFI8rIMasP7HF7dyje6CDnI7GkmX7MB8G\n"
			       "A1UdIwQYMBaAFJGzvmFwCqfSjueApcpeCZXjXk6gMAoGCCqGSM49BAMCA0gAMEUC\n"
			       "IQC86oV5KdhizjWR+JeXgOxnDaV9RTIYELaFGFDdUyFsygIgeXloVydyjeJEv0lX\n"
			       "W7wfLfaug9nxohTHpO19UYHL2aE=\n"
			       "-----END CERTIFICATE-----\n";

static const char good_key[] = "-----BEGIN EC PRIVATE KEY-----\n"
			       "MHcCAQEEIOUBklN7BhaKxWUN4OhHydjld+2iOAn+tZOrT7Rrg11yoAoGCCqGSM49\n"
			       "AwEHoUQDQgAESdW5PvzeiQt87+85YGPoV/FoQeoB7B89G6lY4QDkGjnLkNYyb7ia\n"
			       "a6hKxZvjrA1FYVJvaxbgMTj+DGPBGl4TNw==\n"
			       "-----END EC PRIVATE KEY-----\n";

/* on that list */
static const char revoked_pem[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBYjCCAQmgAwIBAgICEAEwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHQ2xpZW50\n"
	"czAgFw0yNjExMjQyMzA0NDZaGA8yMTI2MTAzMTIzMDQ0NlowEjEQMA4GA1UEAwwH\n"
	"cmV2b2tlZDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABEQr9YpEzS3ttzTTAD+R\n"
	"ASJ6RzslZXe54AVs9hUs6x04Jc4OWA4r8CscfdRxK1/7+qYIBGJqtG7rMaCaQuXC\n"
	"YOmjTTBLMAkGA1UdEwQCMAAwHQYDVR0OBBYEFPBcX7xqCxClH8tHqcyWMoiTisq9\n"
	"MB8GA1UdIwQYMBaAFJGzvmFwCqfSjueApcpeCZXjXk6gMAoGCCqGSM49BAMCA0cA\n"
	"MEQCIBFSDGjqs5NKK6ioBZ9rv5kB0ou95du+Ov3B1nrUHCVAAiAQEUfHxDV/+ppG\n"
	"I6EEC7uX8Hr1SSZBFYndddjIPG6apg==\n"
	"-----END CERTIFICATE-----\n";

static const char revoked_key[] =
	"-----BEGIN EC PRIVATE KEY-----\n"
	"MHcCAQEEIP0SkjBvxxcjNiT1oqUXbAbxeufCK5BovTxCD8vNCTBHoAoGCCqGSM49\n"
	"AwEHoUQDQgAERCv1ikTNLe23NNMAP5EBInpHOyVld7ngBWz2FSzrHTglzg5YDivw\n"
	"Kxx91HErX/v6pggEYmq0busxoJpC5cJg6Q==\n"
	"-----END EC PRIVATE KEY-----\n";

/* its chain has an intermediate */
static const char deep_pem[] = "-----BEGIN CERTIFICATE-----\n"
			       "MIIBZDCCAQqgAwIBAgIBWDAKBggqhkjOPQQDAjAXMRUwEwYDVQQDDAxJbnRlcm1l\n"
			       "ZGlhdGUwIBcNMjYxMTI0MjMwNDQ2WhgPMjEyNjEwMzEyMzA0NDZaMA8xDTALBgNV\n"
			       "BAMMBGRlZXAwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ/DeLxGmAFl0Dp3kqY\n"
			       "kWSZspT1oR/eHAQS/sbJ2MONpF6TbujLaAHbmi4eZ+ParT3JW/5syPcrMBnQKARc\n"
			       "Usiio00wSzAJBgNVHRMEAjAAMB0GA1UdDgQWBBRSKouhJEx+x4juwh0JS9tZu2Ej\n"
			       "1zAfBgNVHSMEGDAWgBR2Mn5PbZb+MlE9X8Ir206kSbBZ3zAKBggqhkjOPQQDAgNI\n"
			       "ADBFAiBMnTu5g32coCFMncPd5D+Rto+FtxfStRgnxRIeopWiYAIhAKanSG8r9Qtr\n"
			       "v02fgbnMjFbZ6LOQkxiUoW1vfXRKxPhg\n"
			       "-----END CERTIFICATE-----\n"
			       "-----BEGIN CERTIFICATE-----\n"
			       "MIIBfDCCASOgAwIBAgIBTTAKBggqhkjOPQQDAjASMRAwDgYDVQQDDAdDbGllbnRz\n"
			       "MCAXDTI2MTEyNDIzMDQ0NloYDzIxMjYxMDMxMjMwNDQ2WjAXMRUwEwYDVQQDDAxJ\n"
			       "bnRlcm1lZGlhdGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASjpQ8CZ/q6xDSL\n"
			       "9dBfVo1xgjPwvgltmzhldqP7tPdfh3Ue+MVoxTfZl/KvTC+oraaUxsBe8Y0vjehj\n"
			       "O5Htr65go2MwYTAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIBBjAdBgNV\n"
			       "HQ4EFgQUdjJ+T22W/jJRPV/CK9tOpEmwWd8wHwYDVR0jBBgwFoAUkbO+YXAKp9KO\n"
			       "54Clyl4JleNeTqAwCgYIKoZIzj0EAwIDRwAwRAIgRBCwAVfft0LIwH86I5nBrKrT\n"
			       "SlkMlwQmBvPbHgIw/1QCIE+typGIqK1CZocjKg1nxyaU/WRgOWriMevYHP95GVKa\n"
			       "-----END CERTIFICATE-----\n";

static const char deep_key[] = "-----BEGIN EC PRIVATE KEY-----\n"
			       "MHcCAQEEIJqtTT38mdbp6FFLM9J9g6lf4cp6JWyQWx/R4qnf2eYZoAoGCCqGSM49\n"
			       "AwEHoUQDQgAEPw3i8RpgBZdA6d5KmJFkmbKU9aEf3hwEEv7GydjDjaRek27oy2gB\n"
			       "25ouHmfj2q09yVv+bMj3KzAZ0CgEXFLIog==\n"
			       "-----END EC PRIVATE KEY-----\n";

/* the key of names, password: second */
static const char locked_key[] =
	"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
	"MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhxxQ2pQ7KrEQICCAAw\n"
	"DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEENf5VPoXSWxGUAjMTemQUzMEgZAS\n"
	"HvLelvRRFjfIU4k/k80xgWVnUU6Mi00MY6P3aAOx/1kL057ejbOcTtiwznFUzqo4\n"
	"x4g8v0ayVZyI+P9UVEIUHZAo0e6sn/yLXA295GfN4ah32Nht6wMWwsyfma05TiKZ\n"
	"2pAbsvbv2sbmHCGpZVsm4L6V6B71o02ynOwUsIzy0qmlFQEv0KgT+BHA0t+wtnE=\n"
	"-----END ENCRYPTED PRIVATE KEY-----\n";

#endif
