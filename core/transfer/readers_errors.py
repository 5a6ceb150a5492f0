from core.errors import AppError


class FileTypeRefused(AppError):
    """The file is of no type that can be uploaded, or of another than it says."""

    code, status = 25100, 415
    predecessor = "-"
    remedy = "Upload csv, xls or xlsx, on /v1 also json, ndjson or parquet, under its true type."


class FileUnreadable(AppError):
    """The file does not parse."""

    code, status = 25200, 422
    predecessor = "-"
    remedy = "Mend the file at the place that the message names, or save it anew."


class FileTooLarge(AppError):
    """What the file holds is larger than the service unpacks."""

    code, status = 25201, 413
    predecessor = "-"
    remedy = "Split the file, upload it as csv, or raise PGTWIN_UPLOAD_UNPACKED_LIMIT."


class FileEmpty(AppError):
    """The file has no rows."""

    code, status = 25300, 422
    predecessor = "-"
    remedy = "Upload a file with a line of column names and at least one row."
