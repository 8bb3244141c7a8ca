"""Send a notice by SMTP, as plain text."""

import smtplib
from contextlib import suppress
from email.message import EmailMessage
from email.utils import format_datetime

from dicom_node.errors import SettingsInvalid
from dicom_node.foreign_text import cleaned
from dicom_node.notices.answers import NotTaken, told_fault, trusting, within
from dicom_node.notices.notice import Notice, day_and_minute
from dicom_node.notices.notice_words import mail_subject, mail_text
from dicom_node.settings.notices import Mail

__all__ = ["mail_of", "send_mail"]

READY = 220
"""How a server greets that takes mail (RFC 5321, section 4.2.2)."""


def mail_of(settings: Mail, notice: Notice) -> EmailMessage:
    """A notice as a mail; sent again it has the same Message-ID."""
    message = EmailMessage()
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.recipients)
    message["Subject"] = mail_subject(
        notice.condition, notice.state, notice.subject, notice.node.name
    )
    message["Date"] = format_datetime(notice.moment)
    message["Message-ID"] = f"<osteonode-{notice.id}@{settings.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence answers it
    since = day_and_minute(notice.since)
    message.set_content(
        mail_text(notice.text, notice.node.name, since, notice.link, notice.held_back)
    )
    return message


def send_mail(settings: Mail, notice: Notice) -> str:
    """Hand a notice to the mail server.

    Parameters
    ----------
    settings
        The server, the sender and the recipients.
    notice
        What is told.

    Returns
    -------
    str
        What was answered, with the number of recipients that the server refused, if any.

    Raises
    ------
    NotTaken
        Not reached, not in time, no TLS, login or recipient refused.
    """
    password = _password(settings)
    smtp = _smtp(settings)
    try:
        with within(settings.timeout_seconds, lambda: smtp.sock):
            code, greeting = smtp.connect(settings.host, settings.port_used)
            if code != READY:
                raise smtplib.SMTPConnectError(code, greeting)
            if settings.security == "starttls":
                smtp.starttls(context=trusting(settings.ca, "mail"))
            if settings.user is not None:
                smtp.login(settings.user, password)
            refused = smtp.send_message(
                mail_of(settings, notice), settings.sender, list(settings.recipients)
            )
            with suppress(smtplib.SMTPException, OSError):  # it is taken all the same
                smtp.quit()
    except SettingsInvalid as error:
        raise NotTaken(str(error)) from None
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise NotTaken(_told(error)) from None
    finally:
        smtp.close()
    if refused:
        code, _ = next(iter(refused.values()))
        return f"taken, but not for {len(refused)} of {len(settings.recipients)} ({code})"
    return "taken"


def _smtp(settings: Mail) -> smtplib.SMTP:
    """A connection that is not open yet, so that its opening is bounded too."""
    seconds = settings.timeout_seconds
    if settings.security == "tls":
        try:
            context = trusting(settings.ca, "mail")
        except SettingsInvalid as error:
            raise NotTaken(str(error)) from None
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(timeout=seconds, context=context)
    else:
        smtp = smtplib.SMTP(timeout=seconds)
    vars(smtp).update(_host=settings.host)  # the name that TLS checks; set only with a connection
    return smtp


def _password(settings: Mail) -> str:
    if settings.password_file is None:
        return settings.password.get_secret_value()
    try:
        return settings.password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise NotTaken(f"password_file cannot be read ({type(error).__name__})") from None


def _told(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "offers no STARTTLS, or no login that is known"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"refuses the login ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, _ = next(iter(error.recipients.values()))
        return f"refuses all recipients ({code})"
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        words = text.decode("ascii", "replace") if isinstance(text, bytes) else text
        return f"answered {error.smtp_code} {cleaned(words)}".strip()
    if isinstance(error, smtplib.SMTPServerDisconnected):
        if isinstance(error.__context__, TimeoutError):  # smtplib puts its text alone into its own
            return told_fault(error.__context__)
        return "broke the connection"
    return told_fault(error)
